package drivers_test

import "testing"

// TestIPVSClientOnDebiansKernel runs the tests of the netlink client and of the reader of /proc in
// one machine. The first wants the module not to be loaded yet, the last unloads it.
func TestIPVSClientOnDebiansKernel(t *testing.T) {
	t.Parallel()
	m := newMachine(t, map[string]string{"/test/insideipvs": buildTest(t, "./e2e/drivers/insideipvs")})
	for _, stage := range []struct{ name, choice string }{
		{"module comes late", "-test.run=^TestModuleComesLate$"},
		{"all", "-test.skip=^(TestModule|TestScale$)"},
		{"module is reloaded", "-test.run=^TestModuleIsReloaded$"},
	} {
		t.Run(stage.name, func(t *testing.T) { runTest(t, m, "insideipvs", stage.choice) })
	}
}
