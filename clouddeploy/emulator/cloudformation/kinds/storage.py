"""AWS::S3::Bucket and its policy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from clouddeploy.emulator.cloudformation.kinds.kind import Kind, Site
from clouddeploy.emulator.cloudformation.records import Part


class Bucket(Kind):
    """``AWS::S3::Bucket``: Ref is the name."""

    known = (
        "BucketEncryption", "BucketName", "PublicAccessBlockConfiguration", "Tags", "VersioningConfiguration",
    )  # fmt: skip
    replaced_by = ("BucketName",)

    def create(self, site: Site, part: Part) -> None:
        """CreateBucket and what else was asked for."""
        name = str(part.properties.get("BucketName") or site.name(part, longest=63, low=True))
        place = {} if site.region == "us-east-1" else {"LocationConstraint": site.region}
        site.call(
            "s3", "CreateBucket", Bucket=name, **({"CreateBucketConfiguration": place} if place else {})
        )
        part.physical_id = name
        part.attributes = {
            "Arn": f"arn:aws:s3:::{name}",
            "DomainName": f"{name}.s3.amazonaws.com",
            "RegionalDomainName": f"{name}.s3.{site.region}.amazonaws.com",
        }
        self.update(site, part, {})

    def update(self, site: Site, part: Part, before: Mapping[str, Any]) -> None:
        """Encryption, versioning, public access, tags."""
        name, wish = part.physical_id, part.properties
        if encryption := wish.get("BucketEncryption"):
            rules = [
                {("ApplyServerSideEncryptionByDefault" if k == "ServerSideEncryptionByDefault" else k): v
                 for k, v in rule.items()}
                for rule in encryption["ServerSideEncryptionConfiguration"]
            ]  # fmt: skip
            configuration = {"Rules": rules}
            site.call(
                "s3", "PutBucketEncryption", Bucket=name, ServerSideEncryptionConfiguration=configuration
            )
        elif "BucketEncryption" in before:
            site.call("s3", "DeleteBucketEncryption", Bucket=name)
        if versioning := wish.get("VersioningConfiguration"):
            site.call("s3", "PutBucketVersioning", Bucket=name, VersioningConfiguration=versioning)
        if block := wish.get("PublicAccessBlockConfiguration"):
            operation = "PutPublicAccessBlock"
            members = {"Bucket": name, "PublicAccessBlockConfiguration": block}
            site.call("s3", operation, **site.fitting("s3", operation, members))
        if tags := wish.get("Tags"):
            site.call("s3", "PutBucketTagging", Bucket=name, Tagging={"TagSet": tags})
        elif "Tags" in before:
            site.call("s3", "DeleteBucketTagging", Bucket=name)

    def delete(self, site: Site, part: Part) -> None:
        """DeleteBucket, which must be empty."""
        site.drop("s3", "DeleteBucket", Bucket=part.physical_id)


class BucketPolicy(Kind):
    """``AWS::S3::BucketPolicy``: Ref is the bucket's name."""

    known = ("Bucket", "PolicyDocument")
    replaced_by = ("Bucket",)

    def create(self, site: Site, part: Part) -> None:
        """PutBucketPolicy."""
        self.update(site, part, {})
        part.physical_id = str(part.properties["Bucket"])

    def update(self, site: Site, part: Part, before: Mapping[str, Any]) -> None:
        """PutBucketPolicy."""
        document = part.properties["PolicyDocument"]
        text = document if isinstance(document, str) else json.dumps(document)
        site.call("s3", "PutBucketPolicy", Bucket=str(part.properties["Bucket"]), Policy=text)

    def delete(self, site: Site, part: Part) -> None:
        """DeleteBucketPolicy."""
        site.drop("s3", "DeleteBucketPolicy", Bucket=part.physical_id)
