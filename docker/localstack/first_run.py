"""Runs LocalStack once while its image is built: fails the build if a service that Belfry uses does not start."""

import os
import shutil
import subprocess
import time

import boto3

log_path = "/tmp/first-run.log"
with open(log_path, "w") as log:
    localstack = subprocess.Popen(["localstack-supervisor"], stdout=log, stderr=subprocess.STDOUT)


def log_text():
    with open(log_path) as file:
        return file.read()


deadline = time.monotonic() + 120
while "Ready." not in log_text():
    if localstack.poll() is not None or time.monotonic() > deadline:
        raise SystemExit(f"LocalStack did not get ready:\n{log_text()}")
    time.sleep(0.1)


def client(service):
    return boto3.client(service, "us-east-1", endpoint_url="http://127.0.0.1:4566", aws_access_key_id="test", aws_secret_access_key="test")


try:
    # One call that every test makes, and the CloudFormation engine with a resource of each kind.
    client("sts").get_caller_identity()
    client("s3").list_buckets()
    client("ses").verify_email_identity(EmailAddress="someone@example.com")
    client("sns").list_topics()
    client("dynamodbstreams").list_streams()
    client("iam").list_roles()
    stack = client("cloudformation")
    stack.create_stack(
        StackName="first-run",
        TemplateBody="""
Resources:
  Bucket: {Type: 'AWS::S3::Bucket'}
  Queue: {Type: 'AWS::SQS::Queue'}
  Topic: {Type: 'AWS::SNS::Topic'}
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
""",
    )
    stack.get_waiter("stack_create_complete").wait(StackName="first-run", WaiterConfig={"Delay": 1, "MaxAttempts": 90})
except Exception as error:
    raise SystemExit(f"LocalStack runs, but {error}\n{log_text()}")
finally:
    localstack.terminate()
    localstack.wait(30)

# What it left is its state; the image starts empty.
for path in ("/var/lib/localstack", "/tmp"):
    for name in os.listdir(path):
        full = os.path.join(path, name)
        shutil.rmtree(full) if os.path.isdir(full) else os.remove(full)
