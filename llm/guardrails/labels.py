"""The names of kinds, as staff read them."""

LABELS = {
    "email": "E-mail address",
    "phone": "Phone number",
    "card": "Payment card",
    "iban": "Bank account (IBAN)",
    "ssn": "US social security number",
    "private_key": "Private key (PEM)",
    "jwt": "JSON web token (JWT)",
    "aws_secret": "AWS secret access key",
    "aws_key": "AWS access key id",
    "anthropic_key": "Anthropic key",
    "openai_key": "OpenAI key, and others that begin with sk-",
    "github_token": "GitHub token",
    "gitlab_token": "GitLab token",
    "slack_token": "Slack token",
    "google_key": "Google key or token",
    "stripe_key": "Stripe key",
    "hugging_face_token": "Hugging Face token",
    "parley_key": "Parley's own key",
    "role_tag": "Tag of a role",
}


def label(kind: str) -> str:
    """Return the name of a kind; a vendor's category of moderation has none but its own."""
    return LABELS.get(kind) or kind.replace("_", " ").capitalize()
