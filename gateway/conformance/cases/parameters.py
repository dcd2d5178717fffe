"""A job's parameters and their history, on the socket and over REST; nothing is changed."""

from __future__ import annotations

from typing import Any

from gateway.conformance.case import NotApplicable, case, check, check_equal, short
from gateway.conformance.probe import Probe
from gateway.conformance.wire import Frame, Wire

PARAMETERS = "/api/v1/jobs/{job}/parameters"
SOCKET = "Commands: parameters"
REST = "REST: parameters"
#: Beyond any revision that a job can have come to while this was tried.
FAR = 1_000_000_000
STATES = {"accepted", "applied", "rejected", "superseded", "reverted"}


def job_of(probe: Probe) -> str:
    """The job whose stream was named. Raises `NotApplicable` where it is the gateway's own."""
    job = probe.target.stream.partition("/")[0]
    if job.startswith("$"):
        raise NotApplicable("this needs a job: name one of its streams with --stream")
    return job


async def parameters(wire: Wire, job: str, **options: Any) -> Frame:
    """The job's parameters; raises `Broken` where there are none."""
    answer = await wire.ask("get_parameters", job=job, **options)
    check(answer["type"] == "parameters", f"`get_parameters` was refused: {short(answer)}")
    return answer


async def tried(wire: Wire, kind: str, **fields: Any) -> Frame:
    """What a change would do. Raises `NotApplicable` for a token that may change nothing."""
    answer = await wire.ask(kind, dry_run=True, **fields)
    if answer.get("code") == "forbidden":
        raise NotApplicable("this needs a token with the right `control`")
    return answer


@case("parameters-in-force", "`get_parameters` tells the revision and values that `subscribed` tells", SOCKET)
async def in_force(probe: Probe) -> None:
    """And the schema, unless that is not wanted."""
    job, wire = job_of(probe), await probe.open()
    ledger = await probe.subscribe(wire)
    found = await parameters(wire, job)
    told = {name: found[name] for name in ("revision", "values")}
    check_equal("what `subscribed` has", ledger.subscribed["parameters"], told)
    check(isinstance(found.get("schema"), dict), "there is no `schema`")
    check("history" not in found, "there is a `history`, which was not asked for")
    check("schema" not in await parameters(wire, job, schema=False), "there is a `schema`, which was not wanted")


@case("parameters-history", "The history has who, when and what, newest first, up to what is in force", SOCKET)
async def history(probe: Probe) -> None:
    """At most as many as were asked for."""
    job, wire = job_of(probe), await probe.open()
    found = await parameters(wire, job, history=1000)
    changes: list[Frame] = found["history"]
    if not changes:
        raise NotApplicable(f"nothing is known of changes of {job}")
    revisions = [each["revision"] for each in changes]
    check_equal("the revisions, newest first", revisions, sorted(set(revisions), reverse=True))
    held = [each["revision"] for each in changes if each["state"] != "rejected"]
    check_equal("the newest that was not rejected", held[0], found["revision"])
    for each in changes:
        check(each["by"] and each["at"], f"a change does not say who or when: {short(each)}")
        check(each["state"] in STATES, f"a change is {each['state']!r}")
        check(each["state"] != "applied" or "batch" in each, f"a change is applied at no `batch`: {short(each)}")
        check(
            each["state"] != "rejected" or each.get("reason"), f"a change was rejected without `reason`: {short(each)}"
        )
        check(each["changed"].items() <= each["values"].items(), f"`changed` is not in `values`: {short(each)}")
    newest = await parameters(wire, job, history=1)
    check_equal("the newest one alone", [each["revision"] for each in newest["history"]], revisions[:1])


@case("dry-run", "`dry_run` tells what a change would do, and changes nothing", SOCKET)
async def dry_run(probe: Probe) -> None:
    """Also where it would bring back an earlier revision, and where it is to be waited for."""
    job, wire = job_of(probe), await probe.open()
    before = await parameters(wire, job, schema=False)
    for kind, fields in (("set_parameters", {"values": {}}), ("revert", {"revision": before["revision"]})):
        answer = await tried(wire, kind, job=job, wait="applied", **fields)
        check(answer["type"] == "parameters_accepted", f"`{kind}` was refused: {short(answer)}")
        check_equal(f"`values` of `{kind}`", answer["values"], before["values"])
    after = await parameters(wire, job, schema=False)
    check_equal("the revision afterwards", after["revision"], before["revision"])


@case("if-revision", "`if_revision` refuses a change of what is not at that revision", SOCKET)
async def if_revision(probe: Probe) -> None:
    """With `revision_conflict`; the one in force is let by."""
    job, wire = job_of(probe), await probe.open()
    held = (await parameters(wire, job))["revision"]
    for kind, fields in (("set_parameters", {"values": {}}), ("revert", {"revision": held})):
        refused = await tried(wire, kind, job=job, if_revision=held + FAR, **fields)
        check_equal(f"the code of `{kind}`", refused.get("code"), "revision_conflict")
        right = await tried(wire, kind, job=job, if_revision=held, **fields)
        check(right["type"] == "parameters_accepted", f"the right revision was refused: {short(right)}")


@case("rest-parameters", "`ETag` and `If-Match` of the parameters are their revision", REST)
async def rest_parameters(probe: Probe) -> None:
    """304 for what is known, 412 for what has changed, and the values are the socket's."""
    job = job_of(probe)
    path = probe.route(PARAMETERS, job=job)
    socket = await parameters(await probe.open(), job)
    found = await probe.send("GET", path)
    check_equal("the status", found.status, 200)
    check_equal("what comes", found.json(), {key: socket[key] for key in ("job", "revision", "values", "schema")})
    tag = f'"{socket["revision"]}"'
    check_equal("`ETag`", found.header("ETag"), tag)
    check_equal("the status of what is known", (await probe.send("GET", path, {"If-None-Match": tag})).status, 304)
    merge = {"Content-Type": "application/merge-patch+json"}
    tries = {"If-Match": f'"{socket["revision"] + FAR}"'}, {"If-Match": tag}
    statuses = [(await probe.send("PATCH", path, {**merge, **each}, b"{}", dry_run="true")).status for each in tries]
    if statuses == [403, 403]:
        raise NotApplicable("this needs a token with the right `control`")
    check_equal("the statuses with a wrong and the right `If-Match`", statuses, [412, 200])
    wrong = await probe.send("PATCH", path, {"Content-Type": "text/plain"}, b"{}", dry_run="true")
    check_equal("the status of a body that is no merge patch", wrong.status, 415)


@case("rest-history", "The history over REST is the socket's, in every form and page by page", REST)
async def rest_history(probe: Probe) -> None:
    """Pages are linked, newest first."""
    job = job_of(probe)
    path = probe.route(f"{PARAMETERS}/history", job=job)
    socket = (await parameters(await probe.open(), job, history=1000))["history"]
    whole = await probe.get(path, limit="1000")
    check_equal("the changes", whole.json()["changes"], socket)
    check_equal("whether there is a next page of all", 'rel="next"' in whole.header("Link"), len(socket) >= 1000)
    check_equal("the lines of NDJSON", (await probe.get(path, "application/x-ndjson", limit="1000")).lines(), socket)
    first = await probe.get(path, limit="1")
    check_equal("the first page", first.json()["changes"], socket[:1])
    check_equal("whether there is a next page", 'rel="next"' in first.header("Link"), len(socket) > 1)
    if len(socket) > 1:
        link = first.header("Link").partition("<")[2].partition(">")[0]
        second = (await probe.send("GET", link)).json()
        check_equal("the second page", second["changes"], socket[1:2])
