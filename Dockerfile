# One image, three commands:
#   docker run IMAGE serve --no-work    the HTTP service alone
#   docker run IMAGE work               the workers alone
#   docker run IMAGE serve              both, the service and its workers
# Set HANDRAIL_REDIS_URL to share one server between containers; without it each keeps a server of its own in /data.
FROM python:3.13-slim AS build
WORKDIR /src
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY client client
COPY rules rules
COPY service service
COPY workers workers
RUN python -m venv /opt/handrail \
 && /opt/handrail/bin/pip install --no-cache-dir --constraint constraints.txt ./client .

FROM python:3.13-slim
COPY --from=build /opt/handrail /opt/handrail
RUN useradd --system --uid 10001 --home-dir /data handrail \
 && install -d -o handrail -g handrail -m 0700 /data
ENV PATH=/opt/handrail/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HANDRAIL_DATA_DIR=/data \
    HANDRAIL_HOST=0.0.0.0
USER handrail
VOLUME /data
EXPOSE 8321
HEALTHCHECK CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8321/livez', timeout=2)"]
ENTRYPOINT ["handrail"]
CMD ["serve"]
