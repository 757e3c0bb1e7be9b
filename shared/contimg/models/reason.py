"""The words of a status: phases, and reasons with what would end each."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["CURES", "Phase", "Reason"]


class Phase(StrEnum):
    """Where a group stands, in one word."""

    WAITING = "Waiting"
    RUNNING = "Running"
    PUBLISHED = "Published"
    UNPUBLISHED = "Unpublished"
    STALLED = "Stalled"
    FAILED = "Failed"
    SUSPENDED = "Suspended"


class Reason(StrEnum):
    """Why a condition is as it is. Of a failed group it is the class of the error that ended it."""

    PUBLISHED = "Published"
    RUNNING = "Running"
    WAITING = "Waiting"
    SUSPENDED = "Suspended"
    IN_PROGRESS = "InProgress"
    NOT_STALLED = "NotStalled"
    NOT_DEGRADED = "NotDegraded"

    BUS_AWAY = "BusAway"
    BUS_FULL = "BusFull"
    FACTS_UNAVAILABLE = "FactsUnavailable"
    INPUTS_RELEASED = "InputsReleased"
    NO_CALIBRATION = "NoCalibration"
    NO_OBSERVATIONS = "NoObservations"
    NOT_JUDGED = "NotJudged"
    NOTHING_TO_CHOOSE = "NothingToChoose"
    POLICY_NOT_MET = "PolicyNotMet"
    WAITING_FOR_APPROVAL = "WaitingForApproval"
    WAITING_FOR_CHOICE = "WaitingForChoice"
    WAITING_FOR_OBSERVATIONS = "WaitingForObservations"
    WAITING_FOR_SCAN = "WaitingForScan"
    WAITING_FOR_SPACE = "WaitingForSpace"
    WAITING_FOR_TRANSIT = "WaitingForTransit"

    BORROWED_CALIBRATION = "BorrowedCalibration"
    MEMBERS_DROPPED = "MembersDropped"
    QUALITY = "Quality"

    MEMBERS_FAILED = "MembersFailed"
    STAGE_FAILED = "StageFailed"
    BAD_CONFIG = "BadConfig"
    BAD_INPUT = "BadInput"
    CONTIMG_ERROR = "ContimgError"
    DAMAGED = "Damaged"
    DATA_QUALITY = "DataQuality"
    RESOURCE_EXHAUSTED = "ResourceExhausted"
    RETRYABLE = "Retryable"
    TERMINAL = "Terminal"
    UNAVAILABLE = "Unavailable"
    USER_ERROR = "UserError"
    WORKER_LOST = "WorkerLost"

    @classmethod
    def of_error(cls, name: str) -> Reason:
        """Return the reason of an error class; an unknown one is ``StageFailed``."""
        return cls(name) if name in set(cls) else cls.STAGE_FAILED


_MEND = "Mend what the message names, then raise spec.replay."

CURES: dict[Reason, str] = {
    Reason.PUBLISHED: "Nothing is to be done.",
    Reason.RUNNING: "It goes on by itself.",
    Reason.WAITING: "It goes on by itself when what it waits for is there.",
    Reason.SUSPENDED: "Set spec.suspend to false.",
    Reason.IN_PROGRESS: "It goes on by itself.",
    Reason.NOT_STALLED: "Nothing is to be done.",
    Reason.NOT_DEGRADED: "Nothing is to be done.",
    Reason.BUS_AWAY: "It goes on when the message bus answers again; look whether its server runs.",
    Reason.BUS_FULL: "It goes on when workers have taken messages off the queue; add workers if that is too slow.",
    Reason.FACTS_UNAVAILABLE: "It goes on when the keeper answers again; look at its log.",
    Reason.INPUTS_RELEASED: "Restore what was cleaned up, or edit the group so that it is not needed.",
    Reason.NO_CALIBRATION: "A solved bandpass within reach ends this; so does another spec.calibrator.",
    Reason.NO_OBSERVATIONS: "Correct spec.observations, or bring the files into incoming/.",
    Reason.NOT_JUDGED: "Correct the record or the field that the message names; other groups go on.",
    Reason.NOTHING_TO_CHOOSE: "Bring what the message names, or edit the group so that it is not needed.",
    Reason.POLICY_NOT_MET: "Look at the report, then change the parameters or spec.publish.policy.",
    Reason.WAITING_FOR_APPROVAL: "Look at the product, then set spec.publish.approve to true.",
    Reason.WAITING_FOR_CHOICE: "It goes on when what the message names is there, or at the time named.",
    Reason.WAITING_FOR_OBSERVATIONS: "It goes on when the files arrive, or when their deadline passes.",
    Reason.WAITING_FOR_SCAN: "It goes on when a scan of incoming/ has finished; look whether its watcher runs.",
    Reason.WAITING_FOR_SPACE: "It goes on when the disk has room again: clean up, or give it more.",
    Reason.WAITING_FOR_TRANSIT: "It goes on when that bandpass is solved, or at the time named without it.",
    Reason.BORROWED_CALIBRATION: "Raise spec.reprocess when a nearer bandpass has been solved.",
    Reason.MEMBERS_DROPPED: "Mend the observations named and raise spec.reprocess, or leave it as it is.",
    Reason.QUALITY: "Look at the figures in the report, then change the parameters or leave it as it is.",
    Reason.MEMBERS_FAILED: "Mend the members named and raise spec.replay, or lower spec.minMembers.",
    Reason.STAGE_FAILED: _MEND,
    Reason.BAD_CONFIG: "Correct the field in the group's YAML and apply it again.",
    Reason.BAD_INPUT: "Mend or remove the file that the message names, then raise spec.replay.",
    Reason.CONTIMG_ERROR: _MEND,
    Reason.DAMAGED: "Move the damaged run or record away, then raise spec.replay.",
    Reason.DATA_QUALITY: "Change the parameters or the selection, or set spec.publish.policy to always.",
    Reason.RESOURCE_EXHAUSTED: "Give the stage more memory or disk, or make its task smaller; then raise spec.replay.",
    Reason.RETRYABLE: _MEND,
    Reason.TERMINAL: "Look at the log of the attempt (contimg log), mend the cause, then raise spec.replay.",
    Reason.UNAVAILABLE: "Bring the service that the message names back, then raise spec.replay.",
    Reason.USER_ERROR: _MEND,
    Reason.WORKER_LOST: "Find out what ends the workers (memory, node), then raise spec.replay.",
}
"""What would end it, one sentence for every reason; docs/reasons.md is the same list."""
