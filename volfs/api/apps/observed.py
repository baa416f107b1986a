"""Modal's types for observed values: states, counts, bills. volfs gives few of them."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from volfs.api.apps.standins import StandIn


class AppState(enum.StrEnum):
    EPHEMERAL = "ephemeral"
    DETACHED = "detached"
    DEPLOYED = "deployed"
    STOPPING = "stopping"
    STOPPED = "stopped"
    INITIALIZING = "initializing"
    DISABLED = "disabled"


class FileType(enum.StrEnum):
    """The type of a file in a Sandbox."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"


class FileWatchEventType(enum.StrEnum):
    """The type of a change to a file in a Sandbox."""

    Unknown = "Unknown"
    Access = "Access"
    Create = "Create"
    Modify = "Modify"
    Remove = "Remove"


class InputStatus(enum.IntEnum):
    """The status of a call."""

    PENDING = 0
    SUCCESS = 1
    FAILURE = 2
    INIT_FAILURE = 5
    TERMINATED = 3
    TIMEOUT = 4

    @classmethod
    def _missing_(cls, value: object) -> InputStatus:
        return cls.PENDING


@dataclass
class InputInfo:
    """A call, and the calls that it made."""

    input_id: str
    function_call_id: str
    task_id: str
    status: InputStatus
    function_name: str
    module_name: str
    children: list[InputInfo]


@dataclass(frozen=True)
class FunctionAutoscalerSettings:
    """The settings that ``update_autoscaler`` takes."""

    min_containers: int | None
    max_containers: int | None
    scaledown_window: int | None
    buffer_containers: int | None


@dataclass(frozen=True)
class FunctionCurrentStats:
    """The numbers of waiting calls, of containers, of running calls, and of further calls that
    these containers would take."""

    backlog: int
    num_total_runners: int
    num_running_inputs: int
    input_headroom: int


_WHY = "volfs does not count or bill this"
UNOBSERVED = (
    *("AppInfo", "AppLifecycle", "AppStats", "BillingReportItem", "CloudBucketMountInfo"),
    *("EnvironmentBillingSummary", "FileInfo", "FileWatchEvent", "FunctionInfo", "FunctionStats"),
    *("LogEntry", "MemberTokenInfo", "MetricDefinition", "MetricSeries", "MetricsSchema"),
    *("ObjectMetrics", "ProxyTokenInfo", "SandboxConnectCredentials", "SandboxGroupStats"),
    *("SandboxStats", "ServerAutoscalerSettings", "ServerContainerInfo", "ServerInfo"),
    *("ServerSessionCredentials", "ServerStats", "ServiceUserInfo", "StatsPercentile"),
    *("StatsPercentileDistribution", "TimeSeriesPoint", "TokenData", "VolumeMountInfo"),
    *("WorkspaceBillingReportItem", "WorkspaceBillingSummary", "WorkspaceMemberInfo"),
    "WorkspaceSettings",
)
"""The types of values that volfs never gives. They exist so that programs can name them, for
example in annotations."""


class Unobserved(StandIn, why=_WHY):
    """The base of the stand-ins for ``UNOBSERVED``, which have the names there."""


_made: dict[str, Any] = {}


def __getattr__(name: str) -> Any:
    """The stand-in for one of ``UNOBSERVED``."""
    if name not in UNOBSERVED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    kind: Any = type(Unobserved)
    return _made.setdefault(name, kind(name, (Unobserved,), {"__doc__": _WHY}, why=_WHY))
