#!/usr/bin/env bash
#
# A job on Kubernetes that shuffles through the release "overhand" in the namespace "shuffle". The image is made by
# docker/Dockerfile.spark.
#
# Usage: spark-submit.sh https://<api server>
set -euo pipefail

masters=$(printf 'overhand-master-%d.overhand-master.shuffle.svc.cluster.local:9700,' 0 1 2)

exec spark-submit \
    --master "k8s://$1" \
    --deploy-mode cluster \
    --name group-by \
    --class org.apache.spark.examples.GroupByTest \
    --conf spark.kubernetes.namespace=spark \
    --conf spark.kubernetes.authenticate.driver.serviceAccountName=spark \
    --conf spark.kubernetes.container.image=registry.example.com/spark-overhand:3.5.9 \
    --conf spark.executor.instances=4 \
    --conf spark.executor.memory=4g \
    --conf spark.executor.memoryOverhead=1g \
    --conf spark.shuffle.manager=org.overhand.spark.OverhandShuffleManager \
    --conf "spark.overhand.masters=${masters%,}" \
    --conf spark.shuffle.reduceLocality.enabled=false \
    local:///opt/spark/examples/jars/spark-examples.jar 100 100000 1000 50
