package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"plague"
	"plague/internal/bench"
	"plague/internal/pki"
	"plague/internal/store"
	"plague/internal/wire"
)

// benchFarm is a farm with any number of builders, for one measurement.
type benchFarm struct {
	farm
	log       *os.File
	keep      bool
	over      func(dir string) // takes the folder of a farm that has ended
	processes []*benchProcess
	places    []bench.Place // of builders that the measurement plays
}

// farm makes a farm of a shape and waits until it answers.
func (b *benchFlags) farm(ctx context.Context, s Streams, shape bench.Shape) (_ *bench.Farm, err error) {
	dir, err := os.MkdirTemp(b.dir, "bench-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // its processes have accounts of their own
		return nil, err
	}
	f := &benchFarm{farm: farm{Dir: dir, User: "bench@localhost.localdomain", Target: "bench-1-null", Arches: nativeArches()[:1], Client: filepath.Join(dir, "client", "client.cfg")}, keep: b.keep, over: b.leave}
	defer func() {
		if err != nil {
			f.keep = true // its log says more
			err = fmt.Errorf("%w (the farm's folder is %s)", errors.Join(err, f.close()), dir)
		}
	}()
	if f.log, err = os.Create(f.path("farm.log")); err != nil {
		return nil, err
	}
	database := shape.Database
	if database == "" {
		database = f.path("server", "userdb")
	}
	if err := f.make(ctx, shape, database); err != nil {
		return nil, err
	}
	if err := f.start(shape.Builders); err != nil {
		return nil, err
	}
	if err := f.begun(ctx); err != nil {
		return nil, err
	}
	if shape.Simulated == 0 {
		if err := f.ready(ctx); err != nil {
			return nil, err
		}
	}
	web, err := f.webClient()
	if err != nil {
		return nil, err
	}
	return &bench.Farm{
		Target: f.Target, Arch: f.Arches[0], Dir: f.Dir, Results: f.path("results"), Database: database,
		Repository: fmt.Sprintf("%s/repos/%s/%s/", f.Web, f.Target, f.Arches[0]), HTTP: web,
		OnPostgres: shape.Database != "", Places: f.places,
		Client: func() (*bench.Client, error) { return f.client(s) }, Processes: f.pids, Stop: f.stop, Close: f.close,
	}, nil
}

// make writes the farm's files and fills its database.
func (f *benchFarm) make(ctx context.Context, shape bench.Shape, database string) error {
	account, err := ensureAccount("plague-server")
	if err != nil {
		return err
	}
	if _, err := ensureAccount("plague-builder"); err != nil {
		return err
	}
	if err := f.folders(account); err != nil {
		return err
	}
	if err := f.certificates(); err != nil {
		return err
	}
	ports, err := freePorts(make([]int, 3+max(1, shape.Builders, shape.Simulated))...)
	if err != nil {
		return err
	}
	u := upFlags{distro: "bench", target: "1", repo: "null", arches: f.Arches, slots: 1}
	if err := u.configure(&f.farm, ports); err != nil {
		return err
	}
	if err := f.builders(shape, ports[3:], database); err != nil {
		return err
	}
	if err := f.history(ctx, shape.History, database); err != nil {
		return err
	}
	return give(f.path("server"), account)
}

// builders completes the configurations: `plague up` knows one builder, which
// builds, and a repository for dnf.
func (f *benchFarm) builders(shape bench.Shape, ports []int, database string) error {
	ca, err := pki.LoadCA(f.path("ca"), "buildsystem")
	if err != nil {
		return err
	}
	one, err := os.ReadFile(f.path("builder", "builder.cfg"))
	if err != nil {
		return err
	}
	var links []string
	for i := range shape.Builders {
		name := "builder" + strconv.Itoa(i+1)
		key := filepath.Join("private", name+"_key_and_cert.pem")
		if i > 0 { // the first has its own
			cert, secret, err := ca.Issue(pki.Request{Role: pki.RoleBuilder, Name: name})
			if err != nil {
				return err
			}
			if err := os.WriteFile(f.path("builder", key), append(secret, cert...), 0o600); err != nil {
				return err
			}
		}
		text := strings.NewReplacer("private/builder1_key_and_cert.pem", key, "work_dir = work", "work_dir = work/"+name, "backend = native", "backend = null",
			fmt.Sprintf("port = %d\n", ports[0]), fmt.Sprintf("port = %d\n", ports[i])).Replace(string(one))
		if err := os.WriteFile(f.path("builder", name+".cfg"), []byte(text), 0o644); err != nil {
			return err
		}
		links = append(links, fmt.Sprintf("https://127.0.0.1:%d %s", ports[i], name))
	}
	if shape.Simulated > 0 {
		if f.places, err = f.simulated(ca, ports[:shape.Simulated]); err != nil {
			return err
		}
		for _, p := range f.places {
			links = append(links, "https://"+p.Listen+" "+p.Name)
		}
	}
	server, err := os.ReadFile(f.path("server", "server.cfg"))
	if err != nil {
		return err
	}
	text := strings.NewReplacer(fmt.Sprintf("builders = %s builder1\n", f.Builder), "builders = "+strings.Join(links, ", ")+"\n",
		"userdb = userdb\n", "userdb = "+database+"\n").Replace(string(server))
	if !shape.Createrepo {
		text += "metadata = plain\n"
	}
	return os.WriteFile(f.path("server", "server.cfg"), []byte(text), 0o600)
}

// historyTimeout is how long a database may take to make a history.
const historyTimeout = 15 * time.Minute

func (f *benchFarm) history(ctx context.Context, jobs int, database string) error {
	ctx, cancel := context.WithTimeout(ctx, historyTimeout)
	defer cancel()
	db, err := store.Open(ctx, database, store.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.PutUser(ctx, time.Now(), "plague bench", plague.User{Email: f.User, Capabilities: plague.Capabilities()}); err != nil || jobs == 0 {
		return err
	}
	return db.AddHistory(ctx, time.Now(), f.Target, f.Arches[0], jobs)
}

// client is a connection as `plague build` makes it.
func (f *benchFarm) client(s Streams) (*bench.Client, error) {
	c, err := connectWith(f.farm.Client)
	if err != nil {
		return nil, err
	}
	quiet := Streams{In: s.In, Out: s.Out, Err: f.log} // nobody looks at progress
	return &bench.Client{User: c.User, Upload: func(ctx context.Context, file string) (wire.Submission, error) {
		pkg, err := openSRPM(file, "")
		if err != nil {
			return wire.Submission{}, err
		}
		defer pkg.file.Close()
		return wire.Submission{Package: pkg.name, Source: filepath.Base(file), SRPM: pkg.digest, Size: pkg.size, Target: f.Target}, c.upload(ctx, quiet, pkg, 0)
	}}, nil
}

// webClient reads the public web as dnf would, knowing the build system's CA.
func (f *benchFarm) webClient() (*http.Client, error) {
	roots, err := pki.LoadPool(f.path("builder", "certs", "buildsystem_ca_cert.pem"))
	if err != nil {
		return nil, err
	}
	hc := httpsClient(pki.ClientConfig(nil, roots, pki.Expect{Role: pki.RoleServer}))
	hc.Timeout = callTimeout
	return hc, nil
}
