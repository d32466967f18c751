"""What one request, and all requests together, may ask of the server: a table of numbers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of the server. Each has a default for a laptop."""

    characters: int = 20_000  # of all texts of a request together
    texts: int = 128  # of a request
    alternatives: int = 10  # further translations of each text
    upload: int = 16 << 20  # bytes of a picture or clip, encoded
    pixels: int = 32_000_000  # of a picture, and of all frames of a clip together, checked before decoding
    memory: int = 256 << 20  # bytes of the bodies of all requests that are received or wait
    queue: int = 1000  # sentences and pictures that wait to be computed, of all requests together
    batch: int = 32  # of these that are computed together
    seconds: float = 30.0  # from the head of a request to its answer
    receiving: float = 10.0  # seconds that a client may take to send a head, and a body without a pause

    @property
    def bodies(self) -> int:
        """Bytes of all bodies together. The largest one that is allowed alone always fits."""
        return max(self.memory, 2 * self.upload, 2 * self.body)

    @property
    def body(self) -> int:
        """Bytes of a body of text. JSON may write a character as 12 bytes."""
        return max(1 << 20, 12 * self.characters + (64 << 10))
