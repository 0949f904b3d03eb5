"""Lambda's API in memory, as far as the provider uses it: behind the seam, in front of the embedded cloud.

Refusals carry AWS's codes. A function's code is the text in its zip's place; invoking it answers with that
text, so that a test sees which version answered.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import io
import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.unit.aws.test_client import refusal
from tests.unit.aws_lambda.fake_scaling import FakeScaling

ACCOUNT, REGION = "123456789012", "eu-west-1"
SETTINGS = ["Role", "Runtime", "Handler", "Description", "MemorySize", "Timeout", "EphemeralStorage"]
SETTINGS += ["Environment", "VpcConfig", "KMSKeyArn", "SnapStart"]
BROKEN = "broken"


class FakeLambda:
    """Every function of an account. Call it as a transport.

    Args:
        inner: answers what isn't about Lambda, S3 above all.

    Attributes:
        busy: so many looks find the last change still under way.
        provisioning: what GetProvisionedConcurrencyConfig tells of the status.
    """

    def __init__(self, inner: Callable[[str, str, Mapping[str, Any]], Any]) -> None:
        self._inner = inner
        self.functions: dict[str, dict[str, Any]] = {}
        self.invocations: list[tuple[str, dict[str, Any]]] = []
        self.limit, self.busy, self.provisioning = 1000, 0, "READY"
        self._revision = 0
        self.scaling = FakeScaling()

    def __call__(self, service: str, operation: str, params: Mapping[str, Any]) -> Any:
        if service == "application-autoscaling":
            return copy.deepcopy(getattr(self.scaling, operation)(**params))
        if service != "lambda":
            return self._inner(service, operation, params)
        answer = getattr(self, operation)(**params)
        return copy.deepcopy(answer) if operation != "Invoke" else answer

    def inventory(self) -> dict[str, str]:
        """Everything that there is, with the state that matters."""
        found = self.scaling.inventory()
        for name, function in self.functions.items():
            found[f"function/{name}"] = function["config"]["CodeSha256"]
            found |= {f"version/{name}:{v['Version']}": v["Description"] for v in function["versions"]}
            found |= {f"alias/{name}:{a}": x["FunctionVersion"] for a, x in function["aliases"].items()}
            for part in ("url", "pc", "failures", "policy"):
                found |= {f"{part}/{name}:{q}": str(x) for q, x in function[part].items()}
        return found

    def add_foreign(self, name: str) -> None:
        """A function that somebody else made."""
        like = copy.deepcopy(next(iter(self.functions.values())))
        arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
        like["config"] |= {"FunctionName": name, "FunctionArn": arn}
        self.functions[name] = {**like, "tags": {}}

    def _get(self, name: str) -> dict[str, Any]:
        if name not in self.functions:
            arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
            raise refusal("ResourceNotFoundException", f"Function not found: {arn}")
        return self.functions[name]

    def _config(self, name: str, qualifier: str | None) -> dict[str, Any]:
        function = self._get(name)
        if qualifier is None:
            return function["config"]  # type: ignore[no-any-return]
        number = function["aliases"].get(qualifier, {}).get("FunctionVersion", qualifier)
        for version in function["versions"]:
            if version["Version"] == number:
                return version  # type: ignore[no-any-return]
        raise refusal("ResourceNotFoundException", f"Function not found: {name}:{qualifier}")

    def _part(self, name: str, part: str, qualifier: str) -> Any:
        self._config(name, qualifier)
        found = self._get(name)[part].get(qualifier)
        if found is None:
            raise refusal("ResourceNotFoundException", "The resource you requested does not exist.")
        return found

    def _changing(self, name: str) -> dict[str, Any]:
        """The function, unless a change of it is under way."""
        function = self._get(name)
        if function["config"]["LastUpdateStatus"] == "InProgress":
            self._look(function)
            text = "The operation cannot be performed at this time. An update is in progress for resource: x"
            raise refusal("ResourceConflictException", text)
        return function

    def _look(self, function: dict[str, Any]) -> None:
        function["looks"] -= 1
        if function["looks"] < 0:
            function["config"] |= {"State": "Active", "LastUpdateStatus": "Successful"}

    def _changed(self, function: dict[str, Any]) -> dict[str, Any]:
        self._revision += 1
        function["looks"] = self.busy
        status = "InProgress" if self.busy else "Successful"
        function["config"] |= {"RevisionId": f"r{self._revision}", "LastUpdateStatus": status}
        return function["config"]  # type: ignore[no-any-return]

    def _code(self, S3Bucket: str = "", S3Key: str = "", ImageUri: str = "") -> dict[str, Any]:
        if ImageUri:
            return {"code": ImageUri, "CodeSha256": hashlib.sha256(ImageUri.encode()).hexdigest()}
        try:
            body = self._inner("s3", "GetObject", {"Bucket": S3Bucket, "Key": S3Key})["Body"].read()
        except Exception as error:
            raise refusal("InvalidParameterValueException", f"S3 Error Code: {error}") from error
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        return {"code": body.decode(), "CodeSha256": digest}

    def GetAccountSettings(self) -> Any:
        return {"AccountLimit": {"ConcurrentExecutions": self.limit}}

    def CreateFunction(
        self, FunctionName: str, Code: dict[str, str], Tags: dict[str, str], **wish: Any
    ) -> Any:
        if FunctionName in self.functions:
            raise refusal("ResourceConflictException", f"Function already exist: {FunctionName}")
        role = str(wish["Role"]).rpartition("/")[2]
        try:
            self._inner("iam", "GetRole", {"RoleName": role})
        except Exception as error:
            text = "The role defined for the function cannot be assumed by Lambda."
            raise refusal("InvalidParameterValueException", text) from error
        arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{FunctionName}"
        config = {
            "FunctionName": FunctionName,
            "FunctionArn": arn,
            "Version": "$LATEST",
            "State": "Active",
            **{k: v for k, v in wish.items() if k in SETTINGS},
            "Architectures": wish["Architectures"],
            **self._code(**Code),
        }
        self.functions[FunctionName] = {
            "config": config,
            "tags": dict(Tags),
            "reserved": None,
            "versions": [],
            "number": 0,
            "aliases": {},
            "url": {},
            "policy": {},
            "pc": {},
            "failures": {},
            "image": Code.get("ImageUri"),
        }
        self._changed(self.functions[FunctionName])
        return config

    def GetFunction(self, FunctionName: str) -> Any:
        function = self._get(FunctionName)
        answer = {"Configuration": function["config"], "Tags": function["tags"], "Code": {}}
        if function["image"]:
            answer["Code"] = {"ImageUri": function["image"]}
        if function["reserved"] is not None:
            answer["Concurrency"] = {"ReservedConcurrentExecutions": function["reserved"]}
        return answer

    def GetFunctionConfiguration(self, FunctionName: str, Qualifier: str | None = None) -> Any:
        self._look(self._get(FunctionName))
        return self._config(FunctionName, Qualifier)

    def UpdateFunctionCode(self, FunctionName: str, Architectures: list[str], **source: str) -> Any:
        function = self._changing(FunctionName)
        function["config"] |= {**self._code(**source), "Architectures": Architectures}
        function["image"] = source.get("ImageUri")
        return self._changed(function)

    def UpdateFunctionConfiguration(self, FunctionName: str, **wish: Any) -> Any:
        function = self._changing(FunctionName)
        function["config"] |= {k: v for k, v in wish.items() if k in SETTINGS}
        return self._changed(function)

    def PublishVersion(self, FunctionName: str, Description: str, CodeSha256: str, RevisionId: str) -> Any:
        function = self._changing(FunctionName)
        config = function["config"]
        if (config["CodeSha256"], config["RevisionId"]) != (CodeSha256, RevisionId):
            raise refusal("PreconditionFailedException", "The RevisionId provided does not match")
        function["number"] += 1
        number = str(function["number"])
        made = {**copy.deepcopy(config), "Version": number, "Description": Description}
        function["versions"].append(made)
        self._changed(function)
        return made

    def ListVersionsByFunction(self, FunctionName: str) -> Any:
        function = self._get(FunctionName)
        return {"Versions": [function["config"], *function["versions"]]}

    def ListFunctions(self) -> Any:
        return {"Functions": [f["config"] for f in self.functions.values()]}

    def ListTags(self, Resource: str) -> Any:
        return {"Tags": self._get(Resource.rpartition(":")[2])["tags"]}

    def TagResource(self, Resource: str, Tags: dict[str, str]) -> None:
        self._get(Resource.rpartition(":")[2])["tags"].update(Tags)

    def UntagResource(self, Resource: str, TagKeys: list[str]) -> None:
        tags = self._get(Resource.rpartition(":")[2])["tags"]
        for key in TagKeys:
            tags.pop(key, None)

    def DeleteFunction(self, FunctionName: str, Qualifier: str | None = None) -> None:
        function = self._get(FunctionName)
        if Qualifier is None:
            del self.functions[FunctionName]
            return
        if any(a["FunctionVersion"] == Qualifier for a in function["aliases"].values()):
            raise refusal("ResourceConflictException", "an alias points to this version")
        function["versions"] = [v for v in function["versions"] if v["Version"] != Qualifier]

    def PutFunctionConcurrency(self, FunctionName: str, ReservedConcurrentExecutions: int) -> None:
        self._get(FunctionName)["reserved"] = ReservedConcurrentExecutions

    def DeleteFunctionConcurrency(self, FunctionName: str) -> None:
        self._get(FunctionName)["reserved"] = None

    def CreateAlias(self, FunctionName: str, Name: str, **alias: Any) -> Any:
        if Name in self._get(FunctionName)["aliases"]:
            raise refusal("ResourceConflictException", f"Alias already exists: {Name}")
        self._config(FunctionName, alias["FunctionVersion"])
        self._get(FunctionName)["aliases"][Name] = alias

    def UpdateAlias(self, FunctionName: str, Name: str, **alias: Any) -> Any:
        self._config(FunctionName, alias["FunctionVersion"])
        self.GetAlias(FunctionName, Name)
        self._get(FunctionName)["aliases"][Name] = alias

    def GetAlias(self, FunctionName: str, Name: str) -> Any:
        found = self._get(FunctionName)["aliases"].get(Name)
        if found is None:
            raise refusal("ResourceNotFoundException", f"Cannot find alias arn: {Name}")
        return found

    def DeleteAlias(self, FunctionName: str, Name: str) -> None:
        self._get(FunctionName)["aliases"].pop(Name, None)

    def CreateFunctionUrlConfig(self, FunctionName: str, Qualifier: str, **url: Any) -> Any:
        self._config(FunctionName, Qualifier)
        if Qualifier in self._get(FunctionName)["url"]:
            raise refusal("ResourceConflictException", "FunctionUrlConfig exists for this Lambda function")
        self._get(FunctionName)["url"][Qualifier] = {**url, "FunctionUrl": "https://x.lambda-url.on.aws/"}

    def UpdateFunctionUrlConfig(self, FunctionName: str, Qualifier: str, **url: Any) -> Any:
        self._part(FunctionName, "url", Qualifier).update(url)

    def GetFunctionUrlConfig(self, FunctionName: str, Qualifier: str) -> Any:
        return self._part(FunctionName, "url", Qualifier)

    def DeleteFunctionUrlConfig(self, FunctionName: str, Qualifier: str) -> None:
        self._part(FunctionName, "url", Qualifier)
        del self._get(FunctionName)["url"][Qualifier]

    def AddPermission(self, FunctionName: str, Qualifier: str, StatementId: str, **statement: Any) -> None:
        self._config(FunctionName, Qualifier)
        policy = self._get(FunctionName)["policy"].setdefault(Qualifier, {})
        if StatementId in policy:
            raise refusal("ResourceConflictException", f"The statement id ({StatementId}) already exists.")
        source = {"Condition": {"ArnLike": {"AWS:SourceArn": statement.get("SourceArn")}}}
        policy[StatementId] = {
            "Sid": StatementId,
            **statement,
            **(source if "SourceArn" in statement else {}),
        }

    def GetPolicy(self, FunctionName: str, Qualifier: str) -> Any:
        statements = self._part(FunctionName, "policy", Qualifier)
        return {"Policy": json.dumps({"Statement": list(statements.values())})}

    def RemovePermission(self, FunctionName: str, Qualifier: str, StatementId: str) -> None:
        policy = self._part(FunctionName, "policy", Qualifier)
        policy.pop(StatementId, None)
        if not policy:
            del self._get(FunctionName)["policy"][Qualifier]

    def PutProvisionedConcurrencyConfig(
        self, FunctionName: str, Qualifier: str, ProvisionedConcurrentExecutions: int
    ) -> None:
        self._config(FunctionName, Qualifier)
        alias = self._get(FunctionName)["aliases"].get(Qualifier, {})
        if alias.get("RoutingConfig", {}).get("AdditionalVersionWeights"):
            text = "Alias with weights can not be used with Provisioned Concurrency"
            raise refusal("InvalidParameterValueException", text)
        self._get(FunctionName)["pc"][Qualifier] = ProvisionedConcurrentExecutions

    def GetProvisionedConcurrencyConfig(self, FunctionName: str, Qualifier: str) -> Any:
        self._config(FunctionName, Qualifier)
        count = self._get(FunctionName)["pc"].get(Qualifier)
        if count is None:
            raise refusal("ProvisionedConcurrencyConfigNotFoundException", "No Provisioned Concurrency")
        reason = {"StatusReason": "no capacity"} if self.provisioning == "FAILED" else {}
        return {
            "RequestedProvisionedConcurrentExecutions": count,
            "Status": self.provisioning,
            **reason,
        }

    def DeleteProvisionedConcurrencyConfig(self, FunctionName: str, Qualifier: str) -> None:
        self._get(FunctionName)["pc"].pop(Qualifier, None)

    def PutFunctionEventInvokeConfig(self, FunctionName: str, Qualifier: str, **config: Any) -> None:
        self._config(FunctionName, Qualifier)
        self._get(FunctionName)["failures"][Qualifier] = config

    def GetFunctionEventInvokeConfig(self, FunctionName: str, Qualifier: str) -> Any:
        return self._part(FunctionName, "failures", Qualifier)

    def DeleteFunctionEventInvokeConfig(self, FunctionName: str, Qualifier: str) -> None:
        self._part(FunctionName, "failures", Qualifier)
        del self._get(FunctionName)["failures"][Qualifier]

    def Invoke(self, FunctionName: str, Qualifier: str, Payload: bytes, LogType: str) -> Any:
        code = self._config(FunctionName, Qualifier)["code"]
        event = json.loads(Payload)
        self.invocations.append((Qualifier, event))
        if code == BROKEN:
            told = {"errorType": "LoadError", "errorMessage": "it can't be loaded"}
            log = b"START\nTraceback ...\nRuntimeError: this handler is broken on purpose\nEND\n"
            return {
                "FunctionError": "Unhandled",
                "Payload": io.BytesIO(json.dumps(told).encode()),
                "LogResult": base64.b64encode(log).decode(),
            }
        body = base64.b64decode(event.get("body", ""))
        status = 400 if body == b"bad" else 500 if body == b"worse" else 200
        error = {"error": {"code": "bad_json", "message": "that isn't JSON", "fix": "send JSON"}}
        text = code if status == 200 else json.dumps(error)
        headers = {"content-type": "text/plain", "X-Request-Id": "r1"}
        answer = {"statusCode": status, "headers": headers, "body": text, "isBase64Encoded": False}
        return {"Payload": io.BytesIO(json.dumps(answer).encode())}
