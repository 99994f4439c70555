package agent

import (
	"slices"

	"github.com/truepacs/balancer/dataplane/model"
)

// weigh returns the services as the kernel shall have them: a server that is down, or whose
// checks have not decided yet, has weight 0. It keeps its established connections that way and
// gets no new ones.
func weigh(services []model.VirtualService, verdicts map[string]model.Verdict) []model.VirtualService {
	out := slices.Clone(services)
	for i := range out {
		out[i].Servers = slices.Clone(out[i].Servers)
		for j := range out[i].Servers {
			server := &out[i].Servers[j]
			if server.Target != "" && !verdicts[server.Target].Healthy {
				server.Weight = 0
			}
		}
	}
	return out
}

// adopted returns the targets that the kernel treats as healthy: a server has weight there in
// one of the services, which an earlier run of the agent gave it.
func adopted(services []model.VirtualService, kernel map[uint32]map[string]int) map[string]bool {
	healthy := map[string]bool{}
	for _, service := range services {
		for _, server := range service.Servers {
			if kernel[service.Mark][server.Address.String()] > 0 {
				healthy[server.Target] = true
			}
		}
	}
	return healthy
}
