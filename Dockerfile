FROM python:3.11-slim

RUN useradd --system --uid 10001 --home-dir /app --shell /usr/sbin/nologin aegispay \
    && install -d -o aegispay -g aegispay /var/lib/aegispay
WORKDIR /app

# First what rarely changes: the packages, each checked against its hash.
COPY infra/image.lock infra/image.lock
RUN pip install --no-cache-dir --require-hashes --no-deps -r infra/image.lock

COPY pyproject.toml README.md LICENSE ./
COPY aggregates aggregates
COPY commands commands
COPY gateways gateways
COPY relay relay
COPY projections projections
COPY infra infra
RUN pip install --no-cache-dir --no-deps --no-build-isolation -e .

USER aegispay
EXPOSE 8000 8200 9100
CMD ["aegispay", "--help"]
