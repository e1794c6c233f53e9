"""The LLM routing subgraph that a LangGraph application drops in.

A name's module is imported when the name is first used, so that what needs little starts quickly.
"""

import importlib
import logging
import typing

if typing.TYPE_CHECKING:
    __version__: str
    from aegis_graph.bulk.job import create_bulk as create_bulk
    from aegis_graph.chat.chat_model import RoutedChatModel as RoutedChatModel
    from aegis_graph.components.answer_generator import (
        create_answer_generator as create_answer_generator,
    )
    from aegis_graph.components.documents import DocumentSet as DocumentSet
    from aegis_graph.components.documents import read_passages as read_passages
    from aegis_graph.components.image_describer import (
        create_image_describer as create_image_describer,
    )
    from aegis_graph.components.image_describer import describe_image as describe_image
    from aegis_graph.components.image_describer.store import (
        create_image_store as create_image_store,
    )
    from aegis_graph.components.index import create_index as create_index
    from aegis_graph.components.index.rerank import HttpReranker as HttpReranker
    from aegis_graph.components.lightrag.graphs import create_lightrag as create_lightrag
    from aegis_graph.components.lightrag.graphs import (
        create_lightrag_insert as create_lightrag_insert,
    )
    from aegis_graph.components.lightrag.graphs import (
        create_lightrag_query as create_lightrag_query,
    )
    from aegis_graph.components.lightrag.rag import RoutedLightRAG as RoutedLightRAG
    from aegis_graph.components.lightrag.settings import LightRAGSettings as LightRAGSettings
    from aegis_graph.components.query_decomposer import (
        create_query_decomposer as create_query_decomposer,
    )
    from aegis_graph.components.rag import create_rag as create_rag
    from aegis_graph.components.relation_extractor import (
        create_relation_extractor as create_relation_extractor,
    )
    from aegis_graph.components.relation_extractor.export import to_neo4j_csv as to_neo4j_csv
    from aegis_graph.components.relation_extractor.export import to_networkx as to_networkx
    from aegis_graph.components.relation_extractor.schema import RelationSchema as RelationSchema
    from aegis_graph.components.retriever import create_retriever as create_retriever
    from aegis_graph.config.price_specs import PriceSpec as PriceSpec
    from aegis_graph.config.router_config import RouterConfig as RouterConfig
    from aegis_graph.config.specs import BudgetSpec as BudgetSpec
    from aegis_graph.config.specs import ProviderSpec as ProviderSpec
    from aegis_graph.embeddings import create_embeddings as create_embeddings
    from aegis_graph.errors import AegisError as AegisError
    from aegis_graph.errors import AllProvidersFailedError as AllProvidersFailedError
    from aegis_graph.errors import AttemptRefusedError as AttemptRefusedError
    from aegis_graph.errors import AuthenticationError as AuthenticationError
    from aegis_graph.errors import BadRequestError as BadRequestError
    from aegis_graph.errors import BudgetExceededError as BudgetExceededError
    from aegis_graph.errors import ConfigError as ConfigError
    from aegis_graph.errors import ContentRefusedError as ContentRefusedError
    from aegis_graph.errors import ContextTooLongError as ContextTooLongError
    from aegis_graph.errors import DocumentError as DocumentError
    from aegis_graph.errors import HookError as HookError
    from aegis_graph.errors import InsertError as InsertError
    from aegis_graph.errors import InvalidRequestError as InvalidRequestError
    from aegis_graph.errors import LedgerError as LedgerError
    from aegis_graph.errors import LimitExceededError as LimitExceededError
    from aegis_graph.errors import MalformedAnswerError as MalformedAnswerError
    from aegis_graph.errors import ModelAccessError as ModelAccessError
    from aegis_graph.errors import ModelLoadingError as ModelLoadingError
    from aegis_graph.errors import NoProviderError as NoProviderError
    from aegis_graph.errors import ProviderError as ProviderError
    from aegis_graph.errors import ProviderTimeoutError as ProviderTimeoutError
    from aegis_graph.errors import ProviderUnavailableError as ProviderUnavailableError
    from aegis_graph.errors import QuotaError as QuotaError
    from aegis_graph.errors import RateLimitError as RateLimitError
    from aegis_graph.errors import ReadOnlyLedgerError as ReadOnlyLedgerError
    from aegis_graph.errors import RejectedAnswerError as RejectedAnswerError
    from aegis_graph.errors import RequestRejectedError as RequestRejectedError
    from aegis_graph.errors import RoutingError as RoutingError
    from aegis_graph.errors import StoreError as StoreError
    from aegis_graph.errors import StreamCutError as StreamCutError
    from aegis_graph.errors import StreamInterruptedError as StreamInterruptedError
    from aegis_graph.errors import UnfitAnswerError as UnfitAnswerError
    from aegis_graph.errors import UnsupportedContentError as UnsupportedContentError
    from aegis_graph.errors import WorkerLostError as WorkerLostError
    from aegis_graph.ledger.alerts import Alert as Alert
    from aegis_graph.ledger.factory import create_ledger as create_ledger
    from aegis_graph.providers.base import Provider as Provider
    from aegis_graph.providers.base import ProviderOptions as ProviderOptions
    from aegis_graph.request.choices import RouterContext as RouterContext
    from aegis_graph.request.image_files import image_part as image_part
    from aegis_graph.request.request import Request as Request
    from aegis_graph.routing.application.hooks import OutgoingAttempt as OutgoingAttempt
    from aegis_graph.routing.application.hooks import Rejection as Rejection
    from aegis_graph.routing.application.hooks import SettledAttempt as SettledAttempt
    from aegis_graph.routing.budget_question import BudgetQuestion as BudgetQuestion
    from aegis_graph.routing.handle import RouterHandle as RouterHandle
    from aegis_graph.routing.hosts.host import RoutedMessagesState as RoutedMessagesState
    from aegis_graph.routing.policy import Candidate as Candidate
    from aegis_graph.routing.router import Router as Router
    from aegis_graph.routing.router import create_router as create_router
    from aegis_graph.routing.router import router_builder as router_builder
    from aegis_graph.routing.state import RouterInput as RouterInput
    from aegis_graph.routing.state import RouterState as RouterState

_HOMES = {
    "AegisError": "aegis_graph.errors",
    "Alert": "aegis_graph.ledger.alerts",
    "AllProvidersFailedError": "aegis_graph.errors",
    "AttemptRefusedError": "aegis_graph.errors",
    "AuthenticationError": "aegis_graph.errors",
    "BadRequestError": "aegis_graph.errors",
    "BudgetExceededError": "aegis_graph.errors",
    "BudgetQuestion": "aegis_graph.routing.budget_question",
    "BudgetSpec": "aegis_graph.config.specs",
    "Candidate": "aegis_graph.routing.policy",
    "ConfigError": "aegis_graph.errors",
    "ContentRefusedError": "aegis_graph.errors",
    "ContextTooLongError": "aegis_graph.errors",
    "DocumentError": "aegis_graph.errors",
    "DocumentSet": "aegis_graph.components.documents",
    "HookError": "aegis_graph.errors",
    "HttpReranker": "aegis_graph.components.index.rerank",
    "InsertError": "aegis_graph.errors",
    "InvalidRequestError": "aegis_graph.errors",
    "LedgerError": "aegis_graph.errors",
    "LightRAGSettings": "aegis_graph.components.lightrag.settings",
    "LimitExceededError": "aegis_graph.errors",
    "MalformedAnswerError": "aegis_graph.errors",
    "ModelAccessError": "aegis_graph.errors",
    "ModelLoadingError": "aegis_graph.errors",
    "NoProviderError": "aegis_graph.errors",
    "OutgoingAttempt": "aegis_graph.routing.application.hooks",
    "PriceSpec": "aegis_graph.config.price_specs",
    "Provider": "aegis_graph.providers.base",
    "ProviderError": "aegis_graph.errors",
    "ProviderOptions": "aegis_graph.providers.base",
    "ProviderSpec": "aegis_graph.config.specs",
    "ProviderTimeoutError": "aegis_graph.errors",
    "ProviderUnavailableError": "aegis_graph.errors",
    "QuotaError": "aegis_graph.errors",
    "RateLimitError": "aegis_graph.errors",
    "ReadOnlyLedgerError": "aegis_graph.errors",
    "RejectedAnswerError": "aegis_graph.errors",
    "Rejection": "aegis_graph.routing.application.hooks",
    "RelationSchema": "aegis_graph.components.relation_extractor.schema",
    "Request": "aegis_graph.request.request",
    "RequestRejectedError": "aegis_graph.errors",
    "RoutedChatModel": "aegis_graph.chat.chat_model",
    "RoutedLightRAG": "aegis_graph.components.lightrag.rag",
    "RoutedMessagesState": "aegis_graph.routing.hosts.host",
    "Router": "aegis_graph.routing.router",
    "RouterConfig": "aegis_graph.config.router_config",
    "RouterContext": "aegis_graph.request.choices",
    "RouterHandle": "aegis_graph.routing.handle",
    "RouterInput": "aegis_graph.routing.state",
    "RouterState": "aegis_graph.routing.state",
    "RoutingError": "aegis_graph.errors",
    "SettledAttempt": "aegis_graph.routing.application.hooks",
    "StoreError": "aegis_graph.errors",
    "StreamCutError": "aegis_graph.errors",
    "StreamInterruptedError": "aegis_graph.errors",
    "UnfitAnswerError": "aegis_graph.errors",
    "UnsupportedContentError": "aegis_graph.errors",
    "WorkerLostError": "aegis_graph.errors",
    "create_answer_generator": "aegis_graph.components.answer_generator",
    "create_bulk": "aegis_graph.bulk.job",
    "create_embeddings": "aegis_graph.embeddings",
    "create_image_describer": "aegis_graph.components.image_describer",
    "create_image_store": "aegis_graph.components.image_describer.store",
    "create_index": "aegis_graph.components.index",
    "create_ledger": "aegis_graph.ledger.factory",
    "create_lightrag": "aegis_graph.components.lightrag.graphs",
    "create_lightrag_insert": "aegis_graph.components.lightrag.graphs",
    "create_lightrag_query": "aegis_graph.components.lightrag.graphs",
    "create_query_decomposer": "aegis_graph.components.query_decomposer",
    "create_rag": "aegis_graph.components.rag",
    "create_relation_extractor": "aegis_graph.components.relation_extractor",
    "create_retriever": "aegis_graph.components.retriever",
    "create_router": "aegis_graph.routing.router",
    "describe_image": "aegis_graph.components.image_describer",
    "image_part": "aegis_graph.request.image_files",
    "read_passages": "aegis_graph.components.documents",
    "router_builder": "aegis_graph.routing.router",
    "to_neo4j_csv": "aegis_graph.components.relation_extractor.export",
    "to_networkx": "aegis_graph.components.relation_extractor.export",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> typing.Any:
    if name == "__version__":
        # Reading the metadata takes a while, and few ask for it.
        return importlib.import_module("importlib.metadata").version("aegis-graph")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


# Whether and where the package's log is shown is for the application to say.
logging.getLogger(__name__).addHandler(logging.NullHandler())
