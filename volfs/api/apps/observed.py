"""Modal's types of what is observed: states, counts, bills. volfs gives few of them."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, TypedDict

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
    """In a Sandbox."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"


class FileWatchEventType(enum.StrEnum):
    """In a Sandbox."""

    Unknown = "Unknown"
    Access = "Access"
    Create = "Create"
    Modify = "Modify"
    Remove = "Remove"


class InputStatus(enum.IntEnum):
    """Of a call."""

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
    """What ``update_autoscaler`` takes."""

    min_containers: int | None
    max_containers: int | None
    scaledown_window: int | None
    buffer_containers: int | None


@dataclass(frozen=True)
class FunctionCurrentStats:
    """Calls that wait, containers, calls that run, and calls more that these would take."""

    backlog: int
    num_total_runners: int
    num_running_inputs: int
    input_headroom: int


class VolumeCreateOptions(TypedDict, total=False):
    """For ``create_options=``."""

    experimental_options: dict[str, Any]


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
"""Types of values that volfs never gives: they can be named, in annotations say."""


class Unobserved(StandIn, why=_WHY):
    """Stands for each of ``UNOBSERVED``, under its name."""


_made: dict[str, Any] = {}


def __getattr__(name: str) -> Any:
    """One of ``UNOBSERVED``."""
    if name not in UNOBSERVED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    kind: Any = type(Unobserved)
    return _made.setdefault(name, kind(name, (Unobserved,), {"__doc__": _WHY}, why=_WHY))
