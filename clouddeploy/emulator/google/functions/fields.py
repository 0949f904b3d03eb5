"""Messages of Cloud Functions v2 in JSON ("REST Resource: projects.locations.functions")."""

from __future__ import annotations

from collections.abc import Mapping

FIELDS: Mapping[str, str] = {
    "Function": """
        name description buildConfig:BuildConfig serviceConfig:ServiceConfig eventTrigger:EventTrigger
        state:=STATE_UNSPECIFIED|ACTIVE|FAILED|DEPLOYING|DELETING|UNKNOWN updateTime labels:map
        stateMessages:StateMessage[] environment:=ENVIRONMENT_UNSPECIFIED|GEN_1|GEN_2 url kmsKeyName
        satisfiesPzs:bool createTime
    """,
    "BuildConfig": """
        automaticUpdatePolicy:AutomaticUpdatePolicy onDeployUpdatePolicy:OnDeployUpdatePolicy build
        runtime entryPoint source:Source sourceProvenance:SourceProvenance workerPool
        environmentVariables:map
        dockerRegistry:=DOCKER_REGISTRY_UNSPECIFIED|CONTAINER_REGISTRY|ARTIFACT_REGISTRY dockerRepository
        serviceAccount
    """,
    "ServiceConfig": """
        service timeoutSeconds:int availableMemory availableCpu environmentVariables:map
        maxInstanceCount:int minInstanceCount:int vpcConnector
        vpcConnectorEgressSettings:=VPC_CONNECTOR_EGRESS_SETTINGS_UNSPECIFIED|PRIVATE_RANGES_ONLY|ALL_TRAFFIC
        ingressSettings:=INGRESS_SETTINGS_UNSPECIFIED|ALLOW_ALL|ALLOW_INTERNAL_ONLY|ALLOW_INTERNAL_AND_GCLB
        uri serviceAccountEmail allTrafficOnLatestRevision:bool secretEnvironmentVariables:SecretEnvVar[]
        secretVolumes:SecretVolume[] revision maxInstanceRequestConcurrency:int
        securityLevel:=SECURITY_LEVEL_UNSPECIFIED|SECURE_ALWAYS|SECURE_OPTIONAL binaryAuthorizationPolicy
    """,
    "EventTrigger": """
        trigger triggerRegion eventType eventFilters:EventFilter[] pubsubTopic serviceAccountEmail
        retryPolicy:=RETRY_POLICY_UNSPECIFIED|RETRY_POLICY_DO_NOT_RETRY|RETRY_POLICY_RETRY channel service
    """,
    "StateMessage": "severity:=SEVERITY_UNSPECIFIED|ERROR|WARNING|INFO type message",
    "AutomaticUpdatePolicy": "",
    "OnDeployUpdatePolicy": "runtimeVersion",
    "Source": "storageSource:StorageSource repoSource:RepoSource gitUri",
    "SourceProvenance": "resolvedStorageSource:StorageSource resolvedRepoSource:RepoSource gitUri",
    "SecretEnvVar": "key projectId secret version",
    "SecretVolume": "mountPath projectId secret versions:SecretVolumeSecretVersion[]",
    "EventFilter": "attribute value operator",
    "StorageSource": "bucket object generation:int64 sourceUploadUrl",
    "RepoSource": "branchName tagName commitSha projectId repoName dir invertRegex:bool",
    "SecretVolumeSecretVersion": "version path",
    "GenerateUploadUrl": "kmsKeyName environment:=ENVIRONMENT_UNSPECIFIED|GEN_1|GEN_2",
}
