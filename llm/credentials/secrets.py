"""How providers' keys are kept, and told apart."""

from django.utils.crypto import salted_hmac

from core.encryption import decrypt, encrypt, newest_key_id, rotate

__all__ = ["decrypt", "encrypt", "fingerprint", "newest_key_id", "rotate"]


def fingerprint(secret: str) -> str:
    """Return a hash that tells two secrets apart; without our key it says nothing of them."""
    return salted_hmac("llm.credentials", secret, algorithm="sha256").hexdigest()
