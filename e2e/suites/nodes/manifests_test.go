package nodes

const (
	namespace = "imaging"
	vip       = "192.0.2.100"
	service   = vip + ":8104"
	image     = "truepacs.test/answer:1"
	// grace is how long a pod that ends goes on.
	grace = 45
)

// pods run on the host network of every node, behind a Service.
const pods = `apiVersion: apps/v1
kind: DaemonSet
metadata: {name: archive}
spec:
  selector: {matchLabels: {app: archive}}
  template:
    metadata: {labels: {app: archive}}
    spec:
      hostNetwork: true
      terminationGracePeriodSeconds: 45
      nodeSelector: {archive: "true"}
      containers:
      - name: answer
        image: ` + image + `
        imagePullPolicy: Never
        env: [{name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]
        ports: [{name: dicom, containerPort: 8104}]
        readinessProbe: {tcpSocket: {port: 8104}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: archive}
spec:
  clusterIP: None
  selector: {app: archive}
  ports: [{name: dicom, port: 8104}]
`

const balancer = `apiVersion: lb.truepacs.io/v1alpha1
kind: TruePACSBalancer
metadata: {name: archive}
spec:
  virtualIPs: [{name: main, address: ` + vip + `}]
  serverPools:
  - name: archive
    serviceRef: {name: archive, portName: dicom}
  virtualServices:
  - name: dicom
    virtualIPs: [main]
    mode: L4DR
    ports: [8104]
    serverPool: archive
    layer4: {scheduler: RoundRobin}
`
