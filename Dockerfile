# Two images from one build:
#
#   docker build --target meshhealth -t meshhealth:dev .
#   docker build --target meshhealth-kube -t meshhealth-kube:dev .
FROM golang:1.26 AS build
WORKDIR /src
COPY . .
ENV CGO_ENABLED=0
RUN go build -trimpath -ldflags="-s -w" -o /out/meshhealth ./cmd/meshhealth
RUN go build -C kube -trimpath -ldflags="-s -w" -o /out/meshhealth-kube ./cmd/meshhealth-kube

FROM gcr.io/distroless/static-debian12:nonroot AS meshhealth-kube
COPY --from=build /out/meshhealth-kube /usr/local/bin/meshhealth-kube
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/meshhealth-kube"]

FROM gcr.io/distroless/static-debian12:nonroot AS meshhealth
COPY --from=build /out/meshhealth /usr/local/bin/meshhealth
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/meshhealth"]
