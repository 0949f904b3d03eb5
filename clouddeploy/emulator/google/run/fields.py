"""Messages of Cloud Run v2 in JSON ("REST Resource: projects.locations.services")."""

from __future__ import annotations

from collections.abc import Mapping

FIELDS: Mapping[str, str] = {
    "Service": """
        name description uid generation:int64 labels:map annotations:map createTime updateTime deleteTime
        expireTime creator lastModifier client clientVersion
        ingress:Ingress
        launchStage:=LAUNCH_STAGE_UNSPECIFIED|EARLY_ACCESS|ALPHA|BETA|GA|DEPRECATED|UNIMPLEMENTED|PRELAUNCH
        binaryAuthorization:BinaryAuthorization template:RevisionTemplate traffic:TrafficTarget[]
        scaling:ServiceScaling invokerIamDisabled:bool defaultUriDisabled:bool urls:[] iapEnabled:bool
        multiRegionSettings:ServiceMultiRegionSettings customAudiences:[] observedGeneration:int64
        terminalCondition:Condition conditions:Condition[] latestReadyRevision latestCreatedRevision
        trafficStatuses:TrafficTargetStatus[] uri satisfiesPzs:bool threatDetectionEnabled:bool
        buildConfig:BuildConfig reconciling:bool etag
    """,
    "BinaryAuthorization": "useDefault:bool policy breakglassJustification",
    "RevisionTemplate": """
        revision labels:map annotations:map scaling:RevisionScaling vpcAccess:VpcAccess timeout
        serviceAccount containers:Container[] volumes:Volume[]
        executionEnvironment:ExecutionEnvironment
        encryptionKey maxInstanceRequestConcurrency:int serviceMesh:ServiceMesh
        encryptionKeyRevocationAction:=ENCRYPTION_KEY_REVOCATION_ACTION_UNSPECIFIED|PREVENT_NEW|SHUTDOWN
        encryptionKeyShutdownDuration sessionAffinity:bool healthCheckDisabled:bool
        nodeSelector:NodeSelector gpuZonalRedundancyDisabled:bool
    """,
    "TrafficTarget": """
        type:TrafficType
        revision percent:int tag
    """,
    "ServiceScaling": """
        minInstanceCount:int scalingMode:=SCALING_MODE_UNSPECIFIED|AUTOMATIC|MANUAL maxInstanceCount:int
        manualInstanceCount:int
    """,
    "ServiceMultiRegionSettings": "regions:[] multiRegionId",
    "Condition": """
        type
        state:=STATE_UNSPECIFIED|CONDITION_PENDING|CONDITION_RECONCILING|CONDITION_FAILED|CONDITION_SUCCEEDED
        message lastTransitionTime severity:=SEVERITY_UNSPECIFIED|ERROR|WARNING|INFO reason revisionReason
        executionReason
    """,
    "TrafficTargetStatus": """
        type:TrafficType
        revision percent:int tag uri
    """,
    "BuildConfig": """
        name sourceLocation functionTarget imageUri baseImage enableAutomaticUpdates:bool workerPool
        environmentVariables:map serviceAccount
    """,
    "RevisionScaling": "minInstanceCount:int maxInstanceCount:int",
    "VpcAccess": """
        connector egress:=VPC_EGRESS_UNSPECIFIED|ALL_TRAFFIC|PRIVATE_RANGES_ONLY
        networkInterfaces:VpcAccessNetworkInterface[]
    """,
    "Container": """
        name image sourceCode:SourceCode command:[] args:[] env:EnvVar[] resources:ResourceRequirements
        ports:ContainerPort[] volumeMounts:VolumeMount[] workingDir livenessProbe:Probe startupProbe:Probe
        readinessProbe:Probe dependsOn:[] baseImageUri buildInfo:BuildInfo
    """,
    "Volume": """
        name secret:SecretVolumeSource cloudSqlInstance:CloudSqlInstance emptyDir:EmptyDirVolumeSource
        nfs:NFSVolumeSource gcs:GCSVolumeSource
    """,
    "ServiceMesh": "mesh",
    "NodeSelector": "accelerator",
    "VpcAccessNetworkInterface": "network subnetwork tags:[]",
    "SourceCode": "cloudStorageSource:SourceCodeCloudStorageSource",
    "EnvVar": "name value valueSource:EnvVarSource",
    "ResourceRequirements": "limits:map cpuIdle:bool startupCpuBoost:bool",
    "ContainerPort": "name containerPort:int",
    "VolumeMount": "name mountPath subPath",
    "Probe": """
        initialDelaySeconds:int timeoutSeconds:int periodSeconds:int failureThreshold:int
        httpGet:HTTPGetAction tcpSocket:TCPSocketAction grpc:GRPCAction
    """,
    "BuildInfo": "functionTarget sourceLocation",
    "SecretVolumeSource": "secret items:VersionToPath[] defaultMode:int",
    "CloudSqlInstance": "instances:[]",
    "EmptyDirVolumeSource": "medium:=MEDIUM_UNSPECIFIED|MEMORY sizeLimit",
    "NFSVolumeSource": "server path readOnly:bool",
    "GCSVolumeSource": "bucket readOnly:bool mountOptions:[]",
    "SourceCodeCloudStorageSource": "bucket object generation:int64",
    "EnvVarSource": "secretKeyRef:SecretKeySelector",
    "HTTPGetAction": "path httpHeaders:HTTPHeader[] port:int",
    "TCPSocketAction": "port:int",
    "GRPCAction": "port:int service",
    "VersionToPath": "path version mode:int",
    "SecretKeySelector": "secret version",
    "HTTPHeader": "name value",
    "Ingress": """=
        INGRESS_TRAFFIC_UNSPECIFIED
        INGRESS_TRAFFIC_ALL
        INGRESS_TRAFFIC_INTERNAL_ONLY
        INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER
        INGRESS_TRAFFIC_NONE
    """,
    "ExecutionEnvironment": """=
        EXECUTION_ENVIRONMENT_UNSPECIFIED
        EXECUTION_ENVIRONMENT_GEN1
        EXECUTION_ENVIRONMENT_GEN2
    """,
    "TrafficType": """=
        TRAFFIC_TARGET_ALLOCATION_TYPE_UNSPECIFIED
        TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST
        TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
    """,
}
