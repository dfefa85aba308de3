"""The scenarios of the exhaustive search: what meets on one image."""

from tests.support.chosen_steps import Fault
from tests.support.small_world import BOTH_STAGES, Scenario
from tests.support.world import OTHERS, PLAN

from common.images.plan import Plan

_START = ("start_embedded", "sweep")
_STORE_FAILS = frozenset({Fault.NOT_DONE, Fault.ANSWER_LOST})
_PUBLIC = ("activate", "resize")

SCENARIOS = {
    "an upload": Scenario(("upload",), whole_without_repair=True, faults=frozenset()),
    "an upload, and the broker is away": Scenario(
        ("upload",), faults=frozenset({Fault.REFUSE, Fault.STOP_ALL}), repair=_START
    ),
    "an activation and the rendering": Scenario(("activate", "resize"), whole_without_repair=True),
    "an activation and the rendering of both stages": Scenario(("activate", "resize"), plan=BOTH_STAGES),
    "two activations and the rendering": Scenario(("activate", "activate", "resize"), whole_without_repair=True),
    "an activation that is killed": Scenario(("publish_once", "resize")),
    "an activation and the rendering, embedded": Scenario(
        ("publish_once", "resize"), faults=frozenset({Fault.STOP_ALL}), repair=_START
    ),
    "an activation and a late rendering": Scenario(
        ("activate", "render_again"), before=("resize",), whole_without_repair=True
    ),
    "a rendering, and the store fails": Scenario(
        ("render_again",), before=_PUBLIC, faults=_STORE_FAILS, whole_without_repair=True
    ),
    "an activation, and the store fails": Scenario(("activate",), before=("resize",), faults=_STORE_FAILS),
    "a rendering that gives up": Scenario(("resize",), faults=frozenset({Fault.REFUSE}), gives_up=True),
    "two renderings with different settings": Scenario(
        ("render_again", "render_with_other_settings"),
        before=("activate", "render_with_other_settings"),
        other=Plan(PLAN.sizes[:2]),
        whole_without_repair=True,
    ),
    "a deletion and an activation": Scenario(("activate", "delete"), before=("resize",), whole_without_repair=True),
    "a deletion and the rendering": Scenario(("resize", "delete"), whole_without_repair=True),
    "a deletion that is killed": Scenario(("delete_once",), before=_PUBLIC),
    "a deletion, and the store fails": Scenario(
        ("delete",), before=_PUBLIC, faults=_STORE_FAILS, plan=Plan(OTHERS[0].sizes[1:]), whole_without_repair=True
    ),
    "a rotation": Scenario(("rotate",), before=_PUBLIC),
    "a rotation and a deletion": Scenario(("rotate", "delete"), before=_PUBLIC),
    "a rotation and a rendering": Scenario(("rotate", "render_again"), before=_PUBLIC),
    "a recrop": Scenario(("recrop",), before=_PUBLIC),
    "a recrop and a deletion": Scenario(("recrop", "delete"), before=_PUBLIC),
    "a crop of a public image": Scenario(("crop_once",), before=_PUBLIC),
    "a crop and the rendering": Scenario(("crop_once", "resize")),
    "a crop and an activation": Scenario(("crop_once", "publish_once"), before=("resize",)),
    "a crop and an activation, half rendered": Scenario(
        ("crop_once", "publish_once"), before=("half_render",), repair=("resize", "reconcile", "sweep")
    ),
    "a crop and a deletion": Scenario(("crop_once", "delete"), before=("resize",)),
    "a crop and a crop": Scenario(("crop_one", "crop_other"), before=_PUBLIC, whole_without_repair=True),
    "expiry and an activation": Scenario(("publish_once", "sweep", "clock"), before=("resize", "almost_expire")),
    "expiry and the rendering": Scenario(("resize", "sweep", "clock"), before=("almost_expire",)),
    "the reconciler and an activation": Scenario(("activate", "reconcile"), before=("resize",)),
    "the reconciler, an activation and the rendering": Scenario(("resize", "activate", "reconcile")),
    "the reconciler and a deletion": Scenario(("reconcile", "delete"), before=("resize",)),
    "the reconciler and nothing to do": Scenario(("reconcile",), before=("resize",), faults=frozenset(), quiet=True),
    "a lost original": Scenario(("reconcile",), before=(*_PUBLIC, "lose_original")),
}

# Three actors, or actors of many steps: within the same bound they have many more schedules. `make test` searches those
# without a preemption or a fault.
LONG = {
    "an activation and the rendering of both stages",
    "two activations and the rendering",
    "a rotation and a deletion",
    "a rotation and a rendering",
    "a recrop and a deletion",
    "a crop and the rendering",
    "a crop and an activation",
    "a crop and an activation, half rendered",
    "a crop and a deletion",
    "a crop and a crop",
    "the reconciler, an activation and the rendering",
}

# `make explore` searches these with one preemption or one fault, and all others with more. In the first, a preemption
# and a kill open the window that docs/bucket-protocol.md#movers-look-for-a-crop tells of. The others take long.
ONE_OF_EITHER = {
    "a crop and an activation",
    "an activation and the rendering of both stages",
    "a crop and a crop",
}
