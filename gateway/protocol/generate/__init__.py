"""Makes the documents and the JavaScript tables from the declarations: ``python -m gateway.protocol.generate``.

The gateway never imports this; it serves the committed files.
"""
