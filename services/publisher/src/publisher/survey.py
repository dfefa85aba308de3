"""What a listing shows of images. It only says where to look."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from common.images.names import ImageKey, is_original, owner
from common.storage import Entry


@dataclass
class Found:
    """What a listing showed of one image. `age` is that of its youngest object, in seconds."""

    name: str
    age: float
    original: ImageKey | None = None
    original_age: float = 0.0
    others: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        return str(self.original or self.name)


async def survey(entries: AsyncIterator[Entry]) -> dict[str, Found]:
    """The listed images by their names."""
    images: dict[str, Found] = {}
    async for entry in entries:
        name = owner(entry.key)
        if name is None:
            continue
        found = images.setdefault(name, Found(name, entry.age))
        found.age = min(found.age, entry.age)
        if is_original(entry.key):
            found.original, found.original_age = ImageKey.parse(entry.key), entry.age
        else:
            found.others.add(entry.key)
    return images
