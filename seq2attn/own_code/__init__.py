"""Code of the user's own that a setting names as `package.module:name`: a backbone, a score, a normaliser.

It runs only with the user's permission. Nothing here is imported with it: this package needs no torch.

    permission       `allow_code`, and how a name becomes an object
    parts            scores and normalisers, which are checked before they are used
    laws             how a law is stated and checked
    score_laws       the laws of a score
    normaliser_laws  the laws of a normaliser
"""

from seq2attn.own_code.permission import allow_code, build, raised_by_own_code, refuse_without_permission

__all__ = ["allow_code", "build", "raised_by_own_code", "refuse_without_permission"]
