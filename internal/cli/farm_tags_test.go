package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"plague"
	"plague/internal/source/sourcetest"
)

// TestFarmBuildsTags: a package named by a tag in git, CVS and Subversion, behind
// real servers, goes all the way into the repository; what is not there fails.
func TestFarmBuildsTags(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"git", "cvs", "svn", "svnserve", "setpriv", "prlimit"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	f := newProcessFarm(t, shape{builders: 1, slots: 2})
	commit, config := gitPackage(t, "ingit")
	f.addTarget("git", config)
	f.addTarget("cvs", cvsPackage(t, "incvs"))
	f.addTarget("svn", svnPackage(t, "insvn"))
	f.start()
	build := func(pkg, tag, target string) plague.JobID {
		t.Helper()
		out, errs, code := f.run("build", "--json", pkg, tag, target)
		var answer struct{ UID plague.JobID }
		if err := json.Unmarshal([]byte(out), &answer); err != nil || code != 0 {
			t.Fatalf("build %s %s: exit %d, %v\n%s%s", pkg, tag, code, err, out, errs)
		}
		return answer.UID
	}
	fine := map[string]plague.JobID{
		"git": build("ingit", "v1", "lab-git-extras"), "cvs": build("incvs", "incvs-1_0-1", "lab-cvs-extras"), "svn": build("insvn", "v1", "lab-svn-extras"),
	}
	absent, broken := build("ingit", "v2", "lab-git-extras"), build("ingit", "broken", "lab-git-extras")
	for scm, uid := range fine {
		job := f.until(uid, plague.JobNeedSign)
		if job.RpmVersion != "1" || len(job.Archjobs) != 2 || job.Archjobs[0].Arch != plague.ArchSource {
			t.Errorf("%s: %+v", scm, job)
		}
		log := string(mustRead(t, f.file("results", job.Results, plague.ArchSource, "job.log")))
		if !strings.Contains(log, "made "+job.Package+"-1-1.src.rpm") {
			t.Errorf("%s: the log of its making is\n%s", scm, log)
		}
	}
	out, _, _ := f.run("detail", fmt.Sprint(fine["git"]))
	if !strings.Contains(out, "revision "+commit) || !strings.Contains(out, "/ingit.git") {
		t.Errorf("detail says\n%s", out)
	}
	if job := f.until(absent, plague.JobFailed); !strings.Contains(job.Reason, `no tag or branch "v2"`) {
		t.Errorf("without the tag: %s", job.Reason)
	}
	if job := f.until(broken, plague.JobFailed); !strings.Contains(job.Reason, "spec") {
		t.Errorf("without a spec: %s", job.Reason)
	}
	for _, tt := range []struct {
		pkg, tag, target string
		code             int
		says             string
	}{
		{"ingit", "v1;id", "lab-git-extras", 2, "illegal character"},
		{"../ingit", "v1", "lab-git-extras", 2, "The package name contained an illegal character"},
		{"ingit", "v1", "devel", 2, "has no source control system"},
	} {
		out, errs, code := f.run("build", tt.pkg, tt.tag, tt.target)
		if code != tt.code || !strings.Contains(errs, tt.says) {
			t.Errorf("build %s %s %s: exit %d\n%s%s", tt.pkg, tt.tag, tt.target, code, out, errs)
		}
	}
	again := build("ingit", "v1", "lab-git-extras")
	if job := f.until(again, plague.JobFailed); !strings.Contains(job.Reason, fmt.Sprintf("job %d", fine["git"])) {
		t.Errorf("the same version again: %s", job.Reason)
	}
	f.Target = "lab-git-extras"
	if got := f.published(); !slices.Equal(got, []string{"ingit-1-1"}) {
		t.Errorf("the repository holds %v", got)
	}
	f.nothingLeft()
}

// addTarget gives the farm a target beside its first.
func (f *processFarm) addTarget(target, scm string) {
	f.t.Helper()
	text := string(mustRead(f.t, f.file("server", "targets", f.Target+".cfg")))
	text = strings.Replace(text, "target = 12", "target = "+target, 1)
	text = strings.Replace(text, "user_aliases = devel", "", 1)
	if err := os.WriteFile(f.file("server", "targets", target+".cfg"), []byte(text+scm), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

// open is a folder that the servers' users reach.
func openFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func in(t *testing.T, dir string, command ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com", "CVS_RSH=false")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", command, err, out)
	}
	return strings.TrimSpace(string(out))
}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// gitPackage makes a repository with a tag and a branch, behind git daemon.
func gitPackage(t *testing.T, name string) (commit, config string) {
	base, work := openFolder(t), t.TempDir()
	in(t, work, "git", "init", "-q", "-b", "main", ".")
	put(t, work, name+".spec", spec(name, ":"))
	in(t, work, "git", "add", ".")
	in(t, work, "git", "commit", "-q", "-m", "x")
	in(t, work, "git", "tag", "v1")
	commit = in(t, work, "git", "rev-parse", "HEAD")
	in(t, work, "git", "mv", name+".spec", "README")
	in(t, work, "git", "commit", "-q", "-m", "y")
	in(t, work, "git", "branch", "broken")
	in(t, work, "git", "clone", "-q", "--bare", work, filepath.Join(base, name+".git"))
	address := sourcetest.Serve(t, "git", "-c", "safe.directory=*", "daemon", "--inetd", "--export-all", "--base-path="+base, base)
	return commit, fmt.Sprintf("\n[SCM]\nurl = git://%[1]s/$package.git\nlayout = plain\nallow = git://%[1]s/\n", address)
}

// cvsPackage makes a repository as in 2005, behind a pserver: the branch of the
// target is a folder, and its Makefile makes the SRPM with the help of common.
func cvsPackage(t *testing.T, name string) (config string) {
	root, work := filepath.Join(openFolder(t), "cvs"), t.TempDir()
	in(t, work, "cvs", "-d", root, "init")
	put(t, work, name+"/cvs/"+name+".spec", spec(name, ":"))
	put(t, work, name+"/cvs/Makefile", "NAME := "+name+"\ninclude ../common/Makefile.common\n")
	put(t, work, "common/Makefile.common", "srpm:\n\trpmbuild --nodeps -bs $(NAME).spec\n")
	for _, module := range []string{name, "common"} {
		in(t, filepath.Join(work, module), "cvs", "-Q", "-d", root, "import", "-m", "x", module, "vendor", "start")
	}
	out := t.TempDir()
	in(t, out, "cvs", "-Q", "-d", root, "checkout", name)
	in(t, out, "cvs", "-Q", "-d", root, "tag", name+"-1_0-1")
	locks := filepath.Join(openFolder(t), "locks")
	if err := os.Mkdir(locks, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(locks, 0o777); err != nil {
		t.Fatal(err)
	}
	put(t, root, "CVSROOT/readers", "anonymous\n")
	put(t, root, "CVSROOT/passwd", "anonymous::nobody\n")
	put(t, root, "CVSROOT/config", "LockDir="+locks+"\n")
	address := sourcetest.Serve(t, "cvs", "-f", "--allow-root="+root, "pserver")
	return fmt.Sprintf("\n[CVS]\ncvs_root = :pserver:anonymous@%[1]s%[2]s\n[SCM]\nallow = pserver://%[1]s/\n", address, root)
}

// svnPackage makes a repository with a tag, behind svnserve.
func svnPackage(t *testing.T, name string) (config string) {
	base, work := openFolder(t), t.TempDir()
	in(t, base, "svnadmin", "create", "repo")
	url := "file://" + base + "/repo/" + name
	put(t, work, name+".spec", spec(name, ":"))
	in(t, work, "svn", "import", "-q", "-m", "x", work, url+"/trunk")
	in(t, work, "svn", "copy", "-q", "--parents", "-m", "x", url+"/trunk", url+"/tags/v1")
	address := sourcetest.Serve(t, "svnserve", "--inetd", "--root", base)
	return fmt.Sprintf("\n[SCM]\ntype = svn\nurl = svn://%[1]s/repo/$package\nlayout = plain\nallow = svn://%[1]s/\n", address)
}
