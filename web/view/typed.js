import { useSignal } from "../vendor/vendor.js";

/**
 * What a box shows that is typed in: what is being typed stays, whatever is painted meanwhile, until it is taken or left as it was.
 *
 * @param {any} value what holds @param {(text: string) => void} take
 */
export function useTyped(value, take) {
  const draft = useSignal(undefined);
  return {
    value: draft.value ?? value,
    onInput: (event) => (draft.value = event.target.value),
    onChange: (event) => {
      draft.value = undefined;
      take(event.target.value);
    },
    onBlur: () => (draft.value = undefined),
  };
}
