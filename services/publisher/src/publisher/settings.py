"""What publisher reads from the environment."""

from typing import Annotated

from pydantic import Field

from common.settings.base import BrokerSettings, HttpSettings, ImagingSettings, SizeSettings
from common.settings.values import Seconds


class MaintenanceSettings(SizeSettings):
    """How long what the buckets hold is left alone."""

    incoming_ttl: Seconds = Field(86400.0, description="seconds after the upload in which an image can be activated")
    reconcile_after: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        600.0, description="seconds without a write after which an image is repaired without an event"
    )

    def contradictions(self) -> list[str]:
        """Those of all services, and of times after an upload that do not follow one another."""
        lines = super().contradictions()
        if self.reconcile_after > self.incoming_ttl:
            lines.append(
                f"RECONCILE_AFTER {self.reconcile_after:g} is more than INCOMING_TTL {self.incoming_ttl:g}: "
                "expected at most that, or an image would be repaired only when it has expired"
            )
        return lines


class MaintenanceBrokerSettings(MaintenanceSettings, BrokerSettings):
    """The same, and the broker that takes requests for thumbnails."""


class PublisherSettings(HttpSettings, MaintenanceSettings, ImagingSettings):
    """The settings of the publisher service, whatever bus it runs on."""

    api_secret_key: Annotated[str, Field(min_length=1)] = Field(
        repr=False, description="the secret that the API server sends"
    )
    activation_wait: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        2.0, description="seconds for which `/publish` waits for variants: after the upload, or with a crop after that"
    )
    edit_wait: Seconds = Field(20.0, description="seconds that `/rotate` and `/recrop` wait for variants")
    reconcile_interval: Seconds = Field(60.0, description="seconds between two looks of the reconciler")
    clean_interval: Seconds = Field(
        3600.0,
        description="seconds between two sweeps of expired uploads and of what deletions left",
    )

    def contradictions(self) -> list[str]:
        """Those of the times after an upload, and a wait that an image does not outlive."""
        lines = super().contradictions()
        if self.activation_wait >= self.incoming_ttl:
            lines.append(
                f"ACTIVATION_WAIT {self.activation_wait:g} is not less than INCOMING_TTL {self.incoming_ttl:g}: "
                "expected less, or an image would expire while /publish waits for its thumbnails"
            )
        return lines


class PublisherServiceSettings(PublisherSettings, BrokerSettings):
    """The settings of publisher as a service of its own."""
