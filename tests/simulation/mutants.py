"""The rules of docs/bucket-protocol.md, each with a mutant that leaves it out, and the scenario that catches it."""

from collections.abc import Callable
from typing import NamedTuple

from tests.simulation.leaving_rules_out import (
    Patch,
    a_crop_is_not_pending,
    a_cropped_image_is_rendered_once,
    a_failure_replaces_a_good_record,
    a_fault_counts_as_absent,
    a_listing_decides,
    a_rotation_keeps_the_name,
    an_activation_is_announced_beforehand,
    an_activation_is_answered_before_its_effect,
    an_original_is_looked_for_in_active_first,
    an_upload_is_published_before_it_is_stored,
    both_stages_share_one_record,
    everything_is_requested_again,
    no_sweep_looks_at_tombstones,
    nobody_looks_for_a_crop_after_moving,
    nobody_looks_for_a_tombstone_afterwards,
    public_orphans_are_removed,
    records_do_not_go_last,
    replaced_variants_stay,
    the_reconciler_finishes_no_move,
    the_sweep_removes_parts_of_a_public_image,
    the_sweep_waits_for_no_grace,
)
from tests.simulation.test_rules_left_out import (
    a_deletion_writes_no_tombstone,
    late_variants_are_not_moved,
    the_original_is_deleted_before_it_is_copied,
    the_record_does_not_wait_for_its_variants,
    the_record_is_looked_for_after_its_variants,
)


class Mutant(NamedTuple):
    """How a rule is left out, the scenario that shows what it is for, and what is then broken."""

    leave_out: Callable[[Patch], None]
    scenario: str
    broken: str


MUTANTS = {
    "pending-work": Mutant(
        the_reconciler_finishes_no_move, "an activation that is killed", "public, and left in incoming"
    ),
    "answer-after-effect": Mutant(
        an_activation_is_answered_before_its_effect,
        "an activation that is killed",
        "it was answered that the image is public",
    ),
    "store-before-publish": Mutant(an_upload_is_published_before_it_is_stored, "an upload", "private"),
    "record-last": Mutant(
        the_record_does_not_wait_for_its_variants,
        "an activation and the rendering",
        "a public record without its variants",
    ),
    "one-record-per-stage": Mutant(
        both_stages_share_one_record,
        "an activation and the rendering of both stages",
        "a public record without its variants",
    ),
    "beside-the-original": Mutant(
        an_original_is_looked_for_in_active_first, "an activation and the rendering", "public:"
    ),
    "only-no-such-key-is-absent": Mutant(a_fault_counts_as_absent, "a rendering, and the store fails", "public:"),
    "look-for-the-tombstone-last": Mutant(
        nobody_looks_for_a_tombstone_afterwards, "a deletion and an activation", "deleted, and public"
    ),
    "good-records-stay": Mutant(
        a_failure_replaces_a_good_record, "a rendering that gives up", "what was rendered has failed"
    ),
    "replaced-variants-go": Mutant(replaced_variants_stay, "two renderings with different settings", "public:"),
    "copy-before-delete": Mutant(
        the_original_is_deleted_before_it_is_copied, "an activation and the rendering", "the original is lost"
    ),
    "record-before-variants": Mutant(
        the_record_is_looked_for_after_its_variants,
        "an activation and the rendering",
        "a public record without its variants",
    ),
    "late-variants-follow": Mutant(late_variants_are_not_moved, "an activation and the rendering", "public:"),
    "tombstone-first": Mutant(
        a_deletion_writes_no_tombstone, "a deletion and an activation", "variants are public, and their original is not"
    ),
    "records-go-last": Mutant(records_do_not_go_last, "a deletion, and the store fails", "deleted, and public"),
    "sweep-finds-the-rest": Mutant(no_sweep_looks_at_tombstones, "a deletion that is killed", "deleted, and public"),
    "edits-get-a-new-name": Mutant(a_rotation_keeps_the_name, "a rotation", "nobody deleted the photo, and it is lost"),
    "crop-first": Mutant(a_crop_is_not_pending, "a crop of a public image", "is shown, not"),
    "crop-around-rendering": Mutant(
        a_cropped_image_is_rendered_once, "a crop and an activation, half rendered", "is shown, not"
    ),
    "movers-look-for-a-crop": Mutant(nobody_looks_for_a_crop_after_moving, "a crop and an activation", "public:"),
    "expiry-after-grace": Mutant(the_sweep_waits_for_no_grace, "expiry and an activation", "public:"),
    "whole-images": Mutant(the_sweep_removes_parts_of_a_public_image, "expiry and an activation", "public:"),
    "decide-by-a-fresh-look": Mutant(
        a_listing_decides,
        "the reconciler, an activation and the rendering",
        "told that variants are public before they are",
    ),
    "no-storms": Mutant(
        everything_is_requested_again,
        "the reconciler and nothing to do",
        "variants are requested, and none are missing",
    ),
    "public-orphans-are-reported": Mutant(
        public_orphans_are_removed, "a lost original", "all that is left of the photo is removed"
    ),
    "announce-afterwards": Mutant(
        an_activation_is_announced_beforehand, "an activation and the rendering", "told that it is public before it is"
    ),
}
