"""The kinds of ``wireguard.dotmac.io`` as typed models, and the CRDs generated from them.

Validation lives beside each field as JSON schema and CEL, so that a bad object is refused by
``kubectl apply`` with a sentence instead of failing later in the controller.
"""
