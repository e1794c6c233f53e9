"""What statuses, codes, types and phrases of providers' errors mean: one table for all dialects.

A code that names the fault says more than any status. A word that only spells a status counts where
the status leaves the matter open, and inside an answer of status 200. A phrase is the last resort:
it decides between refusals, never about a status behind which work may have been done.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from aegis_graph.errors import (
    AuthenticationError,
    BadRequestError,
    ContentRefusedError,
    ContextTooLongError,
    ModelAccessError,
    ProviderError,
    ProviderUnavailableError,
    QuotaError,
    RateLimitError,
    UnfitAnswerError,
)

CodeTable: TypeAlias = Mapping[str, type[ProviderError] | int]
"""Codes and types in lower case: the error that one names, or the status that it only spells."""

BY_STATUS: Mapping[int, type[ProviderError]] = {
    401: AuthenticationError,
    402: QuotaError,
    403: ModelAccessError,
    404: ModelAccessError,
    405: ModelAccessError,
    407: ProviderUnavailableError,
    408: ProviderUnavailableError,
    409: ProviderUnavailableError,
    410: ModelAccessError,
    424: ProviderUnavailableError,
    425: ProviderUnavailableError,
    429: RateLimitError,
    451: ModelAccessError,
    # Groq's, for a flex tier that has no room.
    498: RateLimitError,
    # A gateway's, for a caller that it takes to have hung up.
    499: ProviderUnavailableError,
    # llama.cpp's, for what the loaded model cannot do.
    501: BadRequestError,
}
"""Any other status from 400 to 499 is a bad request, every further one an unavailable provider."""

CODES: CodeTable = {
    # OpenAI, https://platform.openai.com/docs/guides/error-codes; most compatible servers use them.
    "account_deactivated": AuthenticationError,
    "invalid_api_key": AuthenticationError,
    "invalid_organization": AuthenticationError,
    "ip_not_authorized": AuthenticationError,
    "token_expired": AuthenticationError,
    "access_terminated": QuotaError,
    "billing_hard_limit_reached": QuotaError,
    "billing_not_active": QuotaError,
    "insufficient_quota": QuotaError,
    "model_deprecated": ModelAccessError,
    "model_not_available": ModelAccessError,
    "model_not_found": ModelAccessError,
    "unsupported_country_region_territory": ModelAccessError,
    "content_filter": ContentRefusedError,
    "content_policy_violation": ContentRefusedError,
    "image_content_policy_violation": ContentRefusedError,
    "moderation_blocked": ContentRefusedError,
    "context_length_exceeded": ContextTooLongError,
    "string_above_max_length": ContextTooLongError,
    "invalid_prompt": BadRequestError,
    "unsupported_parameter": BadRequestError,
    "unsupported_value": BadRequestError,
    "invalid_request_error": 400,
    "rate_limit_exceeded": 429,
    "server_error": 500,
    "slow_down": 503,
    # Azure OpenAI, https://learn.microsoft.com/azure/ai-foundry/openai/reference
    "deploymentnotfound": ModelAccessError,
    "subscriptionnotregistered": ModelAccessError,
    "responsibleaipolicyviolation": ContentRefusedError,
    "permissiondenied": 403,
    "ratelimitreached": 429,
    "nocapacity": 503,
    # Anthropic, https://platform.claude.com/docs/en/api/errors
    "billing_error": QuotaError,
    "request_too_large": ContextTooLongError,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
    # Gemini: ``google.rpc.Code``, and the reasons of ``google.rpc.ErrorInfo``
    "api_key_invalid": AuthenticationError,
    "api_key_expired": AuthenticationError,
    "api_key_service_blocked": AuthenticationError,
    "api_key_http_referrer_blocked": AuthenticationError,
    "api_key_ip_address_blocked": AuthenticationError,
    "access_token_expired": AuthenticationError,
    "consumer_invalid": AuthenticationError,
    "consumer_suspended": AuthenticationError,
    "billing_disabled": QuotaError,
    "service_disabled": ModelAccessError,
    "failed_precondition": ModelAccessError,
    "invalid_argument": 400,
    "unauthenticated": 401,
    "permission_denied": 403,
    "not_found": 404,
    "resource_exhausted": 429,
    "internal": 500,
    "unavailable": 503,
    "deadline_exceeded": 504,
    # Bedrock, https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
    "unrecognizedclientexception": AuthenticationError,
    "invalidsignatureexception": AuthenticationError,
    "expiredtokenexception": AuthenticationError,
    "missingauthenticationtokenexception": AuthenticationError,
    "accessdeniedexception": ModelAccessError,
    "resourcenotfoundexception": ModelAccessError,
    "servicequotaexceededexception": QuotaError,
    "validationexception": 400,
    "throttlingexception": 429,
    "toomanyrequestsexception": 429,
    "internalserverexception": 500,
    "modelerrorexception": 500,
    "modelstreamerrorexception": 500,
    "modelnotreadyexception": 503,
    "serviceunavailableexception": 503,
    "modeltimeoutexception": 504,
    # Groq, https://console.groq.com/docs/errors
    "json_validate_failed": UnfitAnswerError,
    "tool_use_failed": UnfitAnswerError,
    "model_decommissioned": ModelAccessError,
    "model_terms_required": ModelAccessError,
    "organization_restricted": AuthenticationError,
    "over_capacity": 503,
    "capacity_exceeded": 498,
    # Mistral, xAI, Together, Cerebras, Moonshot, DeepSeek
    "invalid_model": ModelAccessError,
    "personal-team-blocked:spending-limit": QuotaError,
    "credit_limit": QuotaError,
    "payment_required_error": QuotaError,
    "exceeded_current_quota_error": QuotaError,
    "wrong_api_key": AuthenticationError,
    "invalid_authentication_error": AuthenticationError,
    "resource_not_found_error": ModelAccessError,
    "permission_denied_error": 403,
    "rate_limited": 429,
    "rate_limit_reached_error": 429,
    "service_tier_capacity_exceeded": 429,
    "model_rate_limit": 429,
    "too_many_requests_error": 429,
    "request_quota_exceeded": 429,
    "token_quota_exceeded": 429,
    "queue_exceeded": 429,
    "overloaded": 503,
    "engine_overloaded_error": 503,
    # DashScope, where it speaks OpenAI's protocol
    "model_not_supported": ModelAccessError,
    "arrearage": QuotaError,
    "data_inspection_failed": ContentRefusedError,
    "invalid_parameter_error": 400,
    "limit_requests": 429,
    "limit_burst_rate": 429,
    # llama.cpp
    "exceed_context_size_error": ContextTooLongError,
    "unavailable_error": 503,
    "not_supported_error": 501,
    # LiteLLM's proxy
    "budget_exceeded": QuotaError,
    "expired_key": AuthenticationError,
    "token_not_found_in_db": AuthenticationError,
    "key_model_access_denied": ModelAccessError,
    "team_model_access_denied": ModelAccessError,
    "user_model_access_denied": ModelAccessError,
    "contextwindowexceedederror": ContextTooLongError,
    "contentpolicyviolationerror": ContentRefusedError,
    "budgetexceedederror": QuotaError,
    "auth_error": 401,
    "throttling_error": 429,
    # The classes of OpenAI's client, which vLLM, SGLang and LiteLLM send as types
    "badrequesterror": 400,
    "unprocessableentityerror": 422,
    "authenticationerror": 401,
    "permissiondeniederror": 403,
    "notfounderror": 404,
    "ratelimiterror": 429,
    "internalservererror": 500,
    "serviceunavailableerror": 503,
    # Words that many servers and gateways share
    "bad_request": 400,
    "validation_error": 422,
    "unauthorized": 401,
    "forbidden": 403,
    "too_many_requests": 429,
    "internal_error": 500,
    "internal_server_error": 500,
    "bad_gateway": 502,
    "service_unavailable": 503,
}
"""A 402, 403 or 404 with a code of the first sort names the key or the model itself."""

MODERATION_KEYS = frozenset(
    {"content_filter_result", "content_filter_results", "flagged_input", "reasons"}
)
"""Keys of an error object that only a moderation's refusal has: Azure's, and OpenRouter's."""
