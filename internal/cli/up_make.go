package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"plague"
	"plague/internal/pki"
	"plague/internal/store"
)

const farmFile = "farm.json"

// make makes the farm in its folder, or reads the one that is there. Nothing
// that is there is overwritten: farm.json comes last, and a folder without it
// is finished by the next call.
func (u *upFlags) make(ctx context.Context) (*farm, error) {
	f := &farm{Dir: u.dir}
	data, err := os.ReadFile(f.path(farmFile))
	if err == nil {
		return f, json.Unmarshal(data, f)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if len(u.base) == 0 {
		return nil, plague.Refuse(plague.ErrInvalid, "a new farm needs something to build against", "name it with --base-repo name=URL")
	}
	f.Target, f.User, f.Arches = u.distro+"-"+u.target+"-"+u.repo, u.user, u.arches
	f.Client, f.CA = f.path("client", "client.cfg"), f.path("server", "certs", "buildsystem_ca_cert.pem")
	server, err := ensureAccount("plague-server")
	if err != nil {
		return nil, err
	}
	if _, err := ensureAccount("plague-builder"); err != nil {
		return nil, err
	}
	if err := f.folders(server); err != nil {
		return nil, err
	}
	if err := f.certificates(); err != nil {
		return nil, err
	}
	ports, err := u.ports()
	if err != nil {
		return nil, err
	}
	if err := u.configure(f, ports); err != nil {
		return nil, err
	}
	if err := f.firstUser(ctx); err != nil {
		return nil, err
	}
	for _, dir := range []string{"server", "results"} {
		if err := give(f.path(dir), server); err != nil {
			return nil, err
		}
	}
	data, err = json.MarshalIndent(f, "", "  ")
	if err != nil {
		return nil, err
	}
	return f, os.WriteFile(f.path(farmFile), append(data, '\n'), 0o644)
}

// ensureAccount finds a system account, and makes it when it is missing.
func ensureAccount(name string) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		add := []string{"--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name}
		out, err := exec.Command("useradd", add...).CombinedOutput()
		if err != nil {
			return nil, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("there is no account %s and it could not be made: %s", name, strings.TrimSpace(string(out))),
				"useradd "+strings.Join(add, " "))
		}
		if u, err = user.Lookup(name); err != nil {
			return nil, err
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

// folders: what holds secrets is 0700 and its owner's.
func (f *farm) folders(server *syscall.Credential) error {
	if err := reachable(filepath.Dir(f.Dir)); err != nil {
		return err
	}
	for _, d := range []struct {
		name string
		mode fs.FileMode
	}{
		{".", 0o755}, {"ca", 0o700}, {"user_ca", 0o700}, {"server", 0o700}, {"server/certs", 0o700}, {"server/targets", 0o755},
		{"server/data", 0o700}, {"results", 0o755}, {"builder", 0o755}, {"builder/certs", 0o755}, {"builder/private", 0o700}, {"client", 0o700},
	} {
		if err := os.MkdirAll(f.path(d.name), d.mode); err != nil {
			return err
		}
		if err := os.Chmod(f.path(d.name), d.mode); err != nil {
			return err
		}
	}
	return give(f.path("results"), server)
}

func (f *farm) signerSocket() string { return f.path("signer", "socket") }

// signerFolder is the one that the server alone may enter to have something signed.
func (f *farm) signerFolder(server *syscall.Credential) error {
	dir := filepath.Dir(f.signerSocket())
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	return errors.Join(os.Chmod(dir, 0o750), os.Lchown(dir, 0, int(server.Gid)))
}

// reachable says whether the farm's unprivileged processes can come to a
// folder: one below /root, for example, is out of their reach.
func reachable(dir string) error {
	for d := dir; ; d = filepath.Dir(d) {
		info, err := os.Stat(d)
		if err == nil && info.Mode().Perm()&0o001 == 0 {
			return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("only its owner may enter %s, and the farm's server and builder are accounts of their own", d),
				"choose another --dir, such as /var/lib/plague/farm")
		}
		if d == filepath.Dir(d) {
			return nil
		}
	}
}

func give(dir string, to *syscall.Credential) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(to.Uid), int(to.Gid))
	})
}

// certificates makes both CAs and the three certificates of a small farm.
func (f *farm) certificates() error {
	subject := pki.Subject{}
	for dir, name := range map[string]string{"ca": "buildsystem", "user_ca": "users"} {
		if _, err := os.Stat(f.path(dir, name+"_ca_cert.pem")); err == nil {
			continue
		}
		if err := pki.CreateCA(f.path(dir), name, subject); err != nil {
			return err
		}
	}
	system, err := pki.LoadCA(f.path("ca"), "buildsystem")
	if err != nil {
		return err
	}
	users, err := pki.LoadCA(f.path("user_ca"), "users")
	if err != nil {
		return err
	}
	issue := func(ca *pki.CA, r pki.Request, file string) error {
		cert, key, err := ca.Issue(r)
		if err != nil {
			return err
		}
		return os.WriteFile(f.path(file), append(key, cert...), 0o600)
	}
	if err := issue(system, pki.Request{Role: pki.RoleServer, Name: "server"}, "server/certs/server_key_and_cert.pem"); err != nil {
		return err
	}
	if err := issue(system, pki.Request{Role: pki.RoleBuilder, Name: "builder1"}, "builder/private/builder1_key_and_cert.pem"); err != nil {
		return err
	}
	if err := issue(users, pki.Request{Role: pki.RoleUser, Name: f.User, Email: f.User}, "client/user_key_and_cert.pem"); err != nil {
		return err
	}
	for _, c := range [][2]string{
		{"ca/buildsystem_ca_cert.pem", "server/certs/buildsystem_ca_cert.pem"}, {"user_ca/users_ca_cert.pem", "server/certs/users_ca_cert.pem"},
		{"ca/buildsystem_ca_cert.pem", "builder/certs/buildsystem_ca_cert.pem"},
		{"ca/buildsystem_ca_cert.pem", "client/buildsystem_ca_cert.pem"}, {"user_ca/users_ca_cert.pem", "client/users_ca_cert.pem"},
	} {
		data, err := os.ReadFile(f.path(c[0]))
		if err != nil {
			return err
		}
		if err := os.WriteFile(f.path(c[1]), data, 0o644); err != nil {
			return err
		}
	}
	// The address to give to dnf and browsers must be readable by all.
	f.CA = f.path("builder", "certs", "buildsystem_ca_cert.pem")
	return nil
}

// ports chooses those of the users' door, the builders', the web and the builder.
func (u *upFlags) ports() ([]int, error) {
	if u.port == 0 {
		return freePorts(8887, 8886, 8885, 8888)
	}
	asked := []int{u.port + 2, u.port + 1, u.port, u.port + 3}
	if u.port < 1 || u.port+3 > 65535 {
		return nil, plague.Refuse(plague.ErrInvalid, fmt.Sprintf("--port %d and the three after it are no ports", u.port), "give one from 1024 to 65532")
	}
	ports, err := freePorts(slices.Clone(asked)...)
	if err == nil && !slices.Equal(ports, asked) {
		err = plague.Refuse(plague.ErrConflict, fmt.Sprintf("of the ports %d to %d another program has one", u.port, u.port+3), "give another --port; `ss -tlp` shows who listens")
	}
	return ports, err
}

// freePorts gives the ports asked for, and in place of one that is taken any
// that is free.
func freePorts(want ...int) ([]int, error) {
	for i, port := range want {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
				return nil, err
			}
		}
		defer l.Close() // all at once at the end: none is given twice
		want[i] = l.Addr().(*net.TCPAddr).Port
	}
	return want, nil
}

// portsFree says whether another program has taken a port of a farm that is
// down: what answers there would not be the farm.
func (f *farm) portsFree() error {
	for _, address := range []string{f.Users, f.Files, f.Web, f.Builder} {
		at := strings.TrimPrefix(address, "https://")
		l, err := net.Listen("tcp", at)
		if err != nil {
			return plague.Refuse(plague.ErrUnavailable, fmt.Sprintf("another program listens at %s, which is this farm's: %v", at, err),
				"stop that one, or change the port in "+f.path("server", "server.cfg")+", builder/builder.cfg and "+farmFile)
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	return nil
}

// configure writes the three configurations and the target.
func (u *upFlags) configure(f *farm, ports []int) error {
	at := func(port int) string { return "https://127.0.0.1:" + strconv.Itoa(port) }
	f.Users, f.Files, f.Web, f.Builder = at(ports[0]), at(ports[1]), at(ports[2]), at(ports[3])
	slots := u.slots
	if slots == 0 {
		slots = max(1, runtime.NumCPU()/2)
	}
	var repos strings.Builder
	for _, b := range u.base {
		name, url, ok := strings.Cut(b, "=")
		if !ok || !strings.Contains(url, "://") {
			return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("--base-repo %s is not name=URL", b), "for example lab=file:///srv/lab/x86_64")
		}
		fmt.Fprintf(&repos, "%s = %s\n", name, url)
	}
	files := map[string]string{
		"server/server.cfg": fmt.Sprintf("[Server]\nserver_key_and_cert = certs/server_key_and_cert.pem\nca_cert = certs/buildsystem_ca_cert.pem\n"+
			"ui_ca_cert = certs/users_ca_cert.pem\nserver_work_dir = %s\ndata_dir = %s\nuserdb = userdb\ntarget_configs_dir = targets\n"+
			"builders = %s builder1\nsigner = %s\naddress = 127.0.0.1\nui_port = %d\nfiles_port = %d\nweb_port = %d\n",
			f.path("results"), f.path("server", "data"), f.Builder, f.signerSocket(), ports[0], ports[1], ports[2]),
		"server/targets/" + f.Target + ".cfg": fmt.Sprintf("[General]\ndistro = %s\ntarget = %s\nrepo = %s\n\n[Arches]\nbase_arches = %s\n\n"+
			"[Aliases]\nuser_aliases = devel\n\n[Buildroot]\npackages = @buildsys-build\n\n[Repositories]\n%s",
			u.distro, u.target, u.repo, strings.Join(u.arches, " "), repos.String()),
		"builder/builder.cfg": fmt.Sprintf("[Builder]\nbuilder_key_and_cert = private/builder1_key_and_cert.pem\nca_cert = certs/buildsystem_ca_cert.pem\n"+
			"server = %s\ndistro = %s\nrepo = %s\nbackend = native\nbuilder_user = plague-builder\nwork_dir = work\naddress = 127.0.0.1\nport = %d\nslots = %d\narches = %s\n",
			f.Files, u.distro, u.repo, ports[3], slots, strings.Join(u.arches, " ")),
		"client/client.cfg": fmt.Sprintf("[Certs]\nuser-cert = %s\nuser-key =\nuser-ca-cert = %s\nserver-ca-cert = %s\n\n[User]\nemail = %s\n\n"+
			"[Server]\naddress = %s\nallow_uploads = yes\n",
			f.path("client", "user_key_and_cert.pem"), f.path("client", "users_ca_cert.pem"), f.path("client", "buildsystem_ca_cert.pem"), f.User, f.Users),
	}
	for name, text := range files {
		if err := os.WriteFile(f.path(name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// firstUser may do everything: somebody must be able to let in the others.
func (f *farm) firstUser(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	db, err := openUserDB(ctx, f.path("server", "userdb"), store.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	return db.PutUser(ctx, time.Now(), "plague up", plague.User{Email: f.User, Capabilities: plague.Capabilities()})
}
