"""The kind ``dashscope``: Alibaba's Model Studio over its native protocol and its official SDK."""
