package cli

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	"plague"
	"plague/internal/bench"
	"plague/internal/pki"

	"github.com/spf13/cobra"
)

func benchFarmCommand(s Streams) *cobra.Command {
	var b benchFlags
	var load bench.Load
	var deaths float64
	c := &cobra.Command{
		Use:   "farm",
		Short: "measure a server with a thousand simulated builders, and that it loses nothing",
		Long: `Measure a server, a real process at its defaults, that has many builders. These are
simulated: each is the real daemon with a certificate, a door and a disk (in memory) of
its own, all in this process; a build is a wait, mostly a short one and sometimes one of
60 times the mean. Some die all the while: they restart and know nothing more of their
builds, refuse connections for 40 s, or hear every call and answer none for 4 minutes.

All jobs are submitted at once. A completion is a scratch job whose reports were
applied and whose files were fetched, checked and put into the result tree.

At the end the database, the events and the result tree are held against what was
submitted and what the builders began. A job that was lost, is stuck or was accepted
twice is named, and the exit code is 1.

` + exitCodes,
		Example: `  plague bench farm --builders 50 --jobs 2000
  plague bench farm --builders 1000 --jobs 100000 --postgres postgres://bench@localhost/bench`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			load.Deaths = deaths / 100
			return b.runFigures(s, func(run bench.Bench) ([]bench.Figure, error) {
				if load.Builders < 1 || load.Builders > maxSimulated || load.Jobs < 100 || load.Published < 0 || load.Mean <= 0 || deaths < 0 {
					return nil, plague.Refuse(plague.ErrInvalid, "that is no load to measure",
						fmt.Sprintf("give 1 to %d --builders, 100 --jobs at least, a --mean above 0, and nothing below 0", maxSimulated))
				}
				return run.UnderLoad(cmd.Context(), load)
			})
		},
	}
	f := c.Flags()
	b.addFlags(c)
	f.IntVar(&load.Builders, "builders", 1000, "`number` of simulated builders, each with one slot")
	f.IntVar(&load.Jobs, "jobs", 100_000, "`number` of scratch jobs")
	f.IntVar(&load.Published, "published", 0, "`number` of jobs beside them that are published, too")
	f.DurationVar(&load.Mean, "mean", 500*time.Millisecond, "how long a build takes in the mean")
	f.Float64Var(&deaths, "deaths", 1, "`percent` of the builders that die in a minute")
	f.Uint64Var(&load.Seed, "seed", 1, "of the times that builds take, and of who dies")
	return c
}

// maxSimulated keeps the doors of the builders within the ports and files of a machine.
const maxSimulated = 2000

// simulated gives the places of builders that the measurement plays.
func (f *benchFarm) simulated(ca *pki.CA, ports []int) ([]bench.Place, error) {
	roots, err := pki.LoadPool(f.path("ca", "buildsystem_ca_cert.pem"))
	if err != nil {
		return nil, err
	}
	server := pki.Expect{Role: pki.RoleServer}
	var all []bench.Place
	for i, port := range ports {
		name := "simulated" + strconv.Itoa(i+1)
		cert, key, err := ca.Issue(pki.Request{Role: pki.RoleBuilder, Name: name})
		if err != nil {
			return nil, err
		}
		pair, err := tls.X509KeyPair(slices.Concat(cert, key), slices.Concat(cert, key))
		if err != nil {
			return nil, err
		}
		all = append(all, bench.Place{
			Name: name, Listen: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Door: pki.DoorConfig(pair, roots, server),
			Server: httpsClient(pki.ClientConfig(&pair, roots, server)), URL: f.Files,
		})
	}
	return all, nil
}

// mayMeasure refuses who cannot make a farm.
func (b *benchFlags) mayMeasure() error {
	if os.Geteuid() != 0 {
		return plague.Refuse(plague.ErrDenied, "`plague bench` needs root, as the builders do that it measures", "sudo plague bench …")
	}
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return plague.Refuse(plague.ErrInvalid, "--dir: "+err.Error(), "")
	}
	return nil
}
