"""Vendors and servers that are known: what a new provider begins with, and who needs a key."""

from dataclasses import dataclass

from llm.models import ProviderKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A vendor's endpoint; what is empty is the vendor's own, or the customer's."""

    name: str  # of the provider; the key of `PRESETS`
    label: str
    kind: ProviderKind = ProviderKind.OPENAI
    base_url: str = ""
    environment_variable: str = ""  # empty: it asks for no key unless told to
    vendor_id: str | None = None  # in `genai-prices`; None: a server of one's own

    @property
    def bare_url(self) -> str:
        return self.base_url.removesuffix("/v1")


ALL = (
    Preset(
        name="openai",
        label="OpenAI",
        base_url="https://api.openai.com/v1",
        environment_variable="OPENAI_API_KEY",
        vendor_id="openai",
    ),
    Preset(
        name="azure",
        label="Azure OpenAI",
        kind=ProviderKind.AZURE,
        base_url="https://YOUR-RESOURCE.openai.azure.com",
        environment_variable="AZURE_OPENAI_API_KEY",
        vendor_id="azure",
    ),
    Preset(
        name="anthropic",
        label="Anthropic",
        kind=ProviderKind.ANTHROPIC,
        base_url="https://api.anthropic.com",
        environment_variable="ANTHROPIC_API_KEY",
        vendor_id="anthropic",
    ),
    Preset(
        name="gemini",
        label="Google Gemini",
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        environment_variable="GEMINI_API_KEY",
        vendor_id="google",
    ),
    Preset(
        name="groq",
        label="Groq",
        base_url="https://api.groq.com/openai/v1",
        environment_variable="GROQ_API_KEY",
        vendor_id="groq",
    ),
    Preset(
        name="mistral",
        label="Mistral",
        base_url="https://api.mistral.ai/v1",
        environment_variable="MISTRAL_API_KEY",
        vendor_id="mistral",
    ),
    Preset(
        name="openrouter",
        label="OpenRouter",
        base_url="https://openrouter.ai/api/v1",
        environment_variable="OPENROUTER_API_KEY",
        vendor_id="openrouter",
    ),
    Preset(name="vllm", label="vLLM", base_url="http://localhost:8000/v1"),
    Preset(name="ollama", label="Ollama", base_url="http://localhost:11434/v1"),
    Preset(name="llama-cpp", label="llama.cpp", base_url="http://localhost:8080/v1"),
)
PRESETS = {preset.name: preset for preset in ALL}


def vendor_of(kind: str, base_url: str) -> Preset | None:
    """Return whose endpoint it is; `None` for a server of one's own, and for the demo."""
    url = base_url.rstrip("/")
    for preset in ALL:
        if preset.vendor_id is None or preset.kind != kind:
            continue
        # An empty address is that of the kind's first vendor; at Azure everybody has another one.
        if not url or kind == ProviderKind.AZURE or url.removesuffix("/v1") == preset.bare_url:
            return preset
    return None


def needs_key(kind: str, base_url: str) -> bool:
    """Return whether calls without a key would be refused; a server of one's own may take them."""
    return vendor_of(kind, base_url) is not None
