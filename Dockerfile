# docker build --tag aegis . ; compose.yaml runs it with its database.
# The version is pinned here and the packages by their hashes; a digest after the tag (@sha256:...) pins it whole.
ARG PYTHON=3.13.9-slim-bookworm

FROM python:${PYTHON} AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE aegis.example.toml ./
COPY deploy/install.sh deploy/requirements.txt deploy/
COPY aegis_graph aegis_graph
RUN deploy/install.sh /opt/aegis

FROM python:${PYTHON}
# The server writes to /data only.
RUN useradd --system --uid 10001 --home-dir /data --create-home aegis
COPY --from=build /opt/aegis /opt/aegis
COPY deploy/aegis.toml /etc/aegis/aegis.toml
ENV PATH=/opt/aegis/bin:$PATH \
    AEGIS_CONFIG=/etc/aegis/aegis.toml \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 4000
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:4000/healthz', timeout=4)"]
ENTRYPOINT ["aegis"]
CMD ["serve", "--host", "0.0.0.0", "--port", "4000"]
