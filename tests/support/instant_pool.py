"""The stand-in for decoding processes where the pictures do not matter."""

from pathlib import Path

from common.sandbox.protocol import Limits
from resizer.operations.render import Rendered, RenderedUnlessHeavy, RenderedVariant, RenderJob


class InstantPool:
    """Renders in no time: what is searched here is the order of the steps around it.

    `shown` is what variants of a whole image contain.
    """

    limits = Limits()

    def __init__(self, shown: str = "all") -> None:
        self._all = shown

    async def run(
        self,
        operation: object,  # noqa: ARG002
        job: RenderJob,
        result: object,  # noqa: ARG002
        path: Path,  # noqa: ARG002
        **options: object,  # noqa: ARG002
    ) -> tuple[RenderedUnlessHeavy, list[bytes]]:
        made = [
            RenderedVariant(suffix=size.suffix, format=output.format, width=1, height=1)
            for size in job.sizes
            for output in job.outputs
        ]
        rendered = Rendered(width=1, height=1, frames=1, variants=made, damaged=False, thumbhash="", colour="#000000")
        shown = self._all if job.crop is None else job.crop.geometry.text
        return RenderedUnlessHeavy(rendered=rendered), [shown.encode()] * len(made)
