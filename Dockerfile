# The command `millrace` and nothing else; docker-compose.yml runs one container of it per role.
FROM python:3.11-slim AS build
WORKDIR /build
RUN pip install --no-cache-dir uv==0.13.9
COPY pyproject.toml uv.lock README.md LICENSE catalogue.example.toml ./
COPY codes codes
COPY streams streams
COPY processors processors
COPY projections projections
# The locked dependencies and the wheel itself, without the tools of development.
RUN UV_PROJECT_ENVIRONMENT=/opt/millrace uv sync --quiet --frozen --no-dev --no-editable

FROM python:3.11-slim
RUN useradd --system millrace && install --directory --owner=millrace /data
COPY --from=build /opt/millrace /opt/millrace
ENV PATH=/opt/millrace/bin:$PATH MILLRACE_DATA_DIR=/data
USER millrace
WORKDIR /data
ENTRYPOINT ["millrace"]
