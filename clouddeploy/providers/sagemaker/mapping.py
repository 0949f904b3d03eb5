"""What SageMaker makes of each field of the autoscaling policy.

Sources: SageMaker AI Developer Guide, "Automatic scaling of Amazon SageMaker AI models" and "Serverless
Inference"; Application Auto Scaling User Guide, "Target tracking scaling policies".
"""

from __future__ import annotations

from collections.abc import Mapping

from clouddeploy.engine.finding import Mapped

AUTOSCALING: Mapping[str, Mapped] = {
    "min": Mapped(
        "approximated",
        "MinCapacity of the variant, 1 at least: 0 is impossible on instances; serverless inference always "
        "goes to 0",
    ),
    "max": Mapped("exact", "MaxCapacity of the variant; serverless inference: compute.max_concurrency"),
    "requests_per_minute": Mapped("exact", "target tracking of InvocationsPerInstance"),
    "concurrency": Mapped("exact", "target tracking of ConcurrentRequestsPerModel, in high resolution"),
    "cpu": Mapped("exact", "target tracking of CPUUtilization, whose 100 % is one core"),
    "utilization": Mapped("impossible", "instances have no metric of that kind"),
    "scale_out_cooldown_s": Mapped("exact", "ScaleOutCooldown; 300 s where none is given"),
    "scale_in_cooldown_s": Mapped("exact", "ScaleInCooldown; 300 s where none is given"),
    "schedules": Mapped("exact", "scheduled actions of Application Auto Scaling"),
}
"""On instances; serverless inference scales by itself and takes none but `min`."""
