"""What DashScope's own error codes mean.

Source: https://www.alibabacloud.com/help/en/model-studio/error-code. A prompt that is too long has
no code: it is an ``InvalidParameter`` like any other, and its message says so.
"""

from __future__ import annotations

from aegis_graph.errors import (
    AuthenticationError,
    ContentRefusedError,
    ModelAccessError,
    QuotaError,
)
from aegis_graph.providers.error_codes import CODES, CodeTable

DASHSCOPE_CODES: CodeTable = {
    **CODES,
    "invalidapikey": AuthenticationError,
    "not authorized": AuthenticationError,
    "accessdenied": ModelAccessError,
    "modelnotfound": ModelAccessError,
    "model.notexist": ModelAccessError,
    "allocationquota.freetieronly": QuotaError,
    "commoditynotpurchased": QuotaError,
    "prepaidbilloverdue": QuotaError,
    "postpaidbilloverdue": QuotaError,
    "datainspectionfailed": ContentRefusedError,
    "invalidparameter": 400,
    "throttling": 429,
    "internalerror": 500,
    "systemerror": 500,
    "modelservicefailed": 500,
    "modelservingerror": 500,
    "modelunavailable": 503,
    "serviceunavailable": 503,
    "requesttimeout": 504,
    "gatewaytimeout": 504,
}
"""A code, or one dotted part of it, in lower case."""
