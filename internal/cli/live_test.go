package cli

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"plague"
	"plague/internal/artifact"
	"plague/internal/durable"
	"plague/internal/notify"
	"plague/internal/pki"
	"plague/internal/repo"
	"plague/internal/server"
	"plague/internal/store"
)

// liveFarm is a real server with its users' door, and no builder.
type liveFarm struct {
	userdb  string
	config  string // of a client
	db      *store.DB
	results *durable.Dir
	server  *server.Server
	door    *httptest.Server
	before  atomic.Pointer[func(http.Handler) http.Handler] // stands before the door; nil: nothing

	ctx     context.Context
	cancel  context.CancelFunc
	running errgroup.Group
}

// openFarm makes a server with its folders below dir, where makeCertificates
// has been, and opens its door. It does not lead yet.
func openFarm(t testing.TB, dir string, o server.Options) (*liveFarm, error) {
	f := &liveFarm{userdb: filepath.Join(dir, "userdb"), config: filepath.Join(dir, "client.cfg")}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	var err error
	if f.db, err = store.Open(f.ctx, f.userdb, store.Options{Log: log, Exclusive: true}); err != nil {
		return nil, err
	}
	if f.results, err = durable.Open(filepath.Join(dir, "results"), 0o755); err != nil {
		return nil, err
	}
	data, err := durable.Open(filepath.Join(dir, "artifacts"), 0o700)
	if err != nil {
		return nil, err
	}
	artifacts, err := artifact.OpenDir(data)
	if err != nil {
		return nil, err
	}
	repos, err := f.results.Sub("repos")
	if err != nil {
		return nil, err
	}
	tree, err := repo.Open(repos, repo.Createrepo("createrepo_c"), log)
	if err != nil {
		return nil, err
	}
	f.server, err = server.New(f.ctx, server.Config{
		Name: "test", DB: f.db, Artifacts: artifacts, Results: f.results, Tree: tree, RepoURL: "https://localhost:1", Log: log, Options: o,
		Events:  &notify.Stream{DB: f.db, Done: f.ctx.Done(), Log: log},
		Targets: []plague.Target{{Distro: "fedora", Target: "development", Repo: "extras", BaseArches: []string{"x86_64", "i686"}, UserAliases: []string{"devel"}}},
	})
	if err != nil {
		return nil, err
	}
	return f, f.open(filepath.Join(dir, "certs"))
}

// open opens the users' door as the server's command does.
func (f *liveFarm) open(certs string) error {
	cert, err := pki.LoadKeyAndCert(filepath.Join(certs, "server.pem"))
	if err != nil {
		return err
	}
	users, err := pki.LoadPool(filepath.Join(certs, "users", "users_ca_cert.pem"))
	if err != nil {
		return err
	}
	inner := known(f.server.UsersDoor(), func(id pki.Identity) string { return id.Email })
	f.door = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := inner
		if before := f.before.Load(); before != nil {
			h = (*before)(inner)
		}
		h.ServeHTTP(w, r)
	}))
	f.door.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	f.door.TLS = pki.ServerConfig(cert, users, pki.RoleUser)
	f.door.StartTLS()
	return os.WriteFile(f.config, []byte(clientConfigFor(f.door.URL)), 0o600)
}

// stand puts a handler before the door.
func (f *liveFarm) stand(before func(http.Handler) http.Handler) { f.before.Store(&before) }

// lead lets the server work.
func (f *liveFarm) lead() {
	f.running.Go(func() error { return f.server.Run(f.ctx) })
}

func (f *liveFarm) stop() {
	f.cancel()
	f.door.CloseClientConnections()
	f.door.Close()
	if err := f.running.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		panic(err)
	}
	f.db.Close()
}

// newFarm is openFarm for tests without a script: one user, who may build.
func newFarm(t *testing.T, o server.Options) (*liveFarm, *client) {
	t.Helper()
	dir := t.TempDir()
	if err := makeCertificates(filepath.Join(dir, "certs")); err != nil {
		t.Fatal(err)
	}
	f, err := openFarm(t, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.stop)
	me := plague.User{Email: "me@example.com", Capabilities: plague.Capabilities()}
	if err := f.db.PutUser(t.Context(), time.Now(), "test", me); err != nil {
		t.Fatal(err)
	}
	c, err := connectWith(f.config)
	if err != nil {
		t.Fatal(err)
	}
	return f, c
}
