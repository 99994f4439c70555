package site

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/testutil/printed"
	"github.com/truepacs/balancer/e2e/lab"
)

// program is where the binary is: in the machine a copy, in namespaces the file itself.
func (s *Site) program(host lab.Host) (string, error) {
	if host == lab.Host(s.Director) {
		return directorProgram, nil
	}
	return filepath.Abs(s.options.Binary)
}

// StartAgent starts `truepacs run` on a host, as its service manager would.
func (s *Site) StartAgent(ctx context.Context, host lab.Host) error {
	return s.StartAgentWith(ctx, host)
}

// StartAgentWith starts `truepacs run` under another command, such as strace.
func (s *Site) StartAgentWith(ctx context.Context, host lab.Host, wrapper ...string) error {
	program, err := s.program(host)
	if err != nil {
		return err
	}
	out := s.outputs[host.Name()]
	if out == nil {
		out = &printed.Text{}
		s.outputs[host.Name()] = out
	}
	argv := slices.Concat(wrapper, []string{program, "run", "-f", ManifestDir, "--node", host.Name()})
	if host == lab.Host(s.Director) {
		argv = append(argv, s.options.RunArguments...)
	}
	process, err := host.Start(context.WithoutCancel(ctx), lab.ProcessSpec{
		Argv:   argv,
		Stdout: out, Stderr: out,
	})
	if err != nil {
		return fmt.Errorf("start truepacs on %s: %w", host.Name(), err)
	}
	s.agents[host.Name()] = process
	return nil
}

// StartAgents starts `truepacs run` on every host of the product.
func (s *Site) StartAgents(ctx context.Context) error {
	for _, host := range s.Hosts() {
		if err := s.StartAgent(ctx, host); err != nil {
			return err
		}
	}
	return nil
}

// Agent returns the running `truepacs run` of a host.
func (s *Site) Agent(host lab.Host) *lab.Process { return s.agents[host.Name()] }

// Output returns what the product has printed on a host.
func (s *Site) Output(host lab.Host) string {
	if out := s.outputs[host.Name()]; out != nil {
		return out.String()
	}
	return ""
}

// Truepacs runs a command of the product on a host and returns what it printed.
func (s *Site) Truepacs(ctx context.Context, host lab.Host, args ...string) (string, error) {
	program, err := s.program(host)
	if err != nil {
		return "", err
	}
	return s.MustRun(ctx, host, append([]string{program}, args...)...)
}

// Statuses returns the director's balancers as `truepacs status` shows them.
func (s *Site) Statuses(ctx context.Context) ([]v1alpha1.TruePACSBalancer, error) {
	text, err := s.Truepacs(ctx, s.Director, "status", "-o", "json")
	if err != nil {
		return nil, err
	}
	var list v1alpha1.TruePACSBalancerList
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("status is not JSON: %w\n%s", err, text)
	}
	return list.Items, nil
}

// Status returns the only balancer of the director.
func (s *Site) Status(ctx context.Context) (*v1alpha1.TruePACSBalancer, error) {
	all, err := s.Statuses(ctx)
	if err != nil {
		return nil, err
	}
	if len(all) != 1 {
		return nil, fmt.Errorf("status shows %d balancers, not 1", len(all))
	}
	return &all[0], nil
}

// AwaitCondition waits until a condition of the balancer has a status.
func (s *Site) AwaitCondition(ctx context.Context, conditionType, status string) error {
	return Until(ctx, conditionType+"="+status, func() error {
		balancer, err := s.Status(ctx)
		if err != nil {
			return err
		}
		for _, c := range balancer.Status.Conditions {
			if c.Type != conditionType {
				continue
			}
			if string(c.Status) == status {
				return nil
			}
			return fmt.Errorf("%s is %s: %s: %s", c.Type, c.Status, c.Reason, c.Message)
		}
		return errors.New("the condition is not there")
	})
}
