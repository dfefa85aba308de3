"""The plan: which variants every image has, in which formats, and in which of two stages.

Every client can show the base variants. The modern variants are smaller files of the same pictures. They are made
later, so that they never delay the base variants. Each stage has its own record and its own configuration hash: a
change of one stage's settings leaves the other stage's files as they are.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property

from common.images.formats import MODERN_FORMATS, ORIGINALS, Format, Output
from common.images.names import ImageKey
from common.images.records import Stage, record_key
from common.images.sizes import Crop, Size

# Part of the configuration hash. Raise it when a change of the code makes other pictures from the same settings.
RECIPE = 2

# Their images have variants of these sizes, and no record that lists them.
_SUFFIXES_OF_OLD_BACKENDS = ("BI", "MI", "SI")


@dataclass(frozen=True)
class Plan:
    """The sizes, and the modern formats that each size is also written in."""

    sizes: tuple[Size, ...]
    modern: tuple[Output, ...] = ()

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that images have, in their order."""
        return (Stage.BASE, Stage.MODERN) if self.modern else (Stage.BASE,)

    def outputs(self, image: ImageKey, stage: Stage) -> tuple[Output, ...]:
        """The formats that the stage writes each size in."""
        return (Output(format=image.variant_format),) if stage is Stage.BASE else self.modern

    def configuration(self, stage: Stage, crop: Crop | None = None) -> str:
        """The configuration hash of the stage's record: it changes when the variants would look different."""
        return self._uncropped[stage] if crop is None else self._hash(stage, crop)

    @cached_property
    def _uncropped(self) -> dict[Stage, str]:
        """The hashes of whole images. Each is asked for twice an image, and takes a tenth of a millisecond."""
        return {stage: self._hash(stage, None) for stage in Stage}

    def _hash(self, stage: Stage, crop: Crop | None) -> str:
        if stage is Stage.BASE:
            made_of = [asdict(size) for size in self.sizes]
        else:
            of_jpeg = {"quality", "interlaced"}
            made_of = [
                {name: value for name, value in asdict(size).items() if name not in of_jpeg} for size in self.sizes
            ]
            made_of += [asdict(output) for output in self.modern]
        if crop is not None:
            made_of.append(asdict(crop))
        return hashlib.sha256(json.dumps([RECIPE, *made_of], sort_keys=True).encode()).hexdigest()[:16]

    def variant_keys(self, image: ImageKey, stage: Stage) -> set[str]:
        """The keys of the stage's variants."""
        outputs = self.outputs(image, stage)
        return {image.variant_key(size.suffix, output.format) for size in self.sizes for output in outputs}

    def rendered_keys(self, image: ImageKey) -> set[str]:
        """All keys that rendering may have written, today or while other formats were set: variants and records."""
        endings = (image.variant_format, *MODERN_FORMATS)
        variants = {image.variant_key(size.suffix, ending) for size in self.sizes for ending in endings}
        return variants | {record_key(image, stage) for stage in Stage}

    def keys_by_name(self, image: ImageKey) -> set[str]:
        """All keys that follow from the image's name alone: originals, variants, records and crop.

        They include every format, because an SVG and its rasterised version of old have one name; the suffixes of
        today's sizes and of the old backends; and the image's own extension in every spelling.
        """
        own = image.extension
        endings = {*ORIGINALS, own, own.lower(), own.upper(), own.capitalize()}
        suffixes = {size.suffix for size in self.sizes} | {*_SUFFIXES_OF_OLD_BACKENDS}
        of_variants = {ending for ending in endings if ending.lower() != Format.SVG} | {*MODERN_FORMATS}
        keys = {f"{image.name}.{ending}" for ending in endings}
        keys |= {f"{image.name}{suffix}.{ending}" for suffix in suffixes for ending in of_variants}
        return keys | {record_key(image, stage) for stage in Stage} | {image.crop_key}
