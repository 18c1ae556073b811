package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"plague"
)

// pythonDriver drives a farm with Python's own client, as scripts of 2005 did.
const pythonDriver = `
import ssl, sys, time, xmlrpc.client
url, ca, cert, folder, email = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.load_cert_chain(cert)
s = xmlrpc.client.ServerProxy(url + "/RPC2", context=context, allow_none=True)

def until(what, f):
    end = time.time() + 300
    while time.time() < end:
        got = f()
        if got: return got
        time.sleep(0.1)
    raise AssertionError("waited in vain for " + what)

def fault(code, text, f):
    try: f()
    except xmlrpc.client.Fault as e: assert e.faultCode == code and text in e.faultString, e
    else: raise AssertionError("no fault")

methods = s.system.listMethods()
for m in "enqueue enqueue_srpm list_jobs detail_job kill_job pause is_paused list_builders api_version system.methodHelp".split():
    assert m in methods, (m, methods)
assert "SRPM" in s.system.methodHelp("enqueue")
assert ["array", "string", "string", "string", "string"] in s.system.methodSignature("enqueue")
assert s.api_version() >= 200

builders = s.list_builders()
assert [(b["name"], b["alive"], b["num_slots"]) for b in builders] == [("builder1", True, 1)], builders

# refusals are (-1, message, ...)
srpm = folder + "/quick-1-1.src.rpm"
code, msg, uid = s.enqueue("else@example.com", "quick", srpm, "devel")
assert code == -1 and uid == -1 and "else@example.com" in msg and email in msg, (code, msg)
code, msg, uid = s.enqueue(email, "quick", srpm, "devl")
assert code == -1 and "did you mean devel?" in msg, (code, msg)
code, msg, uid = s.enqueue(email, "quack", srpm, "devel")
assert code == -1 and "quick" in msg and "quack" in msg, (code, msg)
code, msg, uid = s.enqueue(email, "quick", folder + "/none-1-1.src.rpm", "devel")
assert code == -1 and "SRPM does not exist or is not accessible" in msg, (code, msg)
code, msg, uid = s.enqueue(email, "quick", "/etc/passwd", "devel")
assert code == -1 and uid == -1, (code, msg)
code, msg, uid = s.enqueue(email, "quick", folder + "/../server/userdb", "devel")
assert code == -1 and uid == -1, (code, msg)
code, msg, uid = s.enqueue(email, "quick", "quick-1_0-1", "devel")
assert code == -1 and "SRPMS only" in msg, (code, msg)
code, msg = s.kill_job("else@example.com", 1)
assert code == -1 and "else@example.com" in msg, (code, msg)
code, msg, job = s.detail_job(99)
assert code == -1 and "Invalid job UID" in msg and job == {}, (code, msg, job)
code, msg, jobs = s.list_jobs({"status": ["buildng"]})
assert code == -1 and "buildng" in msg and jobs == [], (code, msg)
assert s.list_jobs({}) == [0, "Success.", []], s.list_jobs({})
fault(400, "parameter", lambda: s.detail_job("one"))
fault(-32601, "nobody", lambda: s.nobody())

# pause: what waits goes on waiting
assert s.is_paused() is False
code, msg = s.pause(True)
assert code == 0 and s.is_paused() is True
code, msg, first = s.enqueue(email, "quick", srpm, "devel")
assert (code, msg, first) == (0, "Package quick enqueued.", 1), (code, msg, first)
code, msg, uid = s.enqueue(email, "quick", srpm, "devel")
assert code == -1 and "1" in msg, (code, msg)
assert s.detail_job(1)[2]["status"] == "waiting"
code, msg = s.pause(False)
assert code == 0 and s.is_paused() is False

def state(uid): return s.detail_job(uid)[2]["status"]
until("job 1 to rest", lambda: state(1) in ("needsign", "failed", "killed"))
code, msg, job = s.detail_job(1)
assert code == 0 and job["status"] == "needsign", job
assert (job["package"], job["username"], job["source"], job["target_distro"], job["target_target"], job["target_repo"]) == ("quick", email, srpm, "lab", "12", "extras"), job
assert (job["rpm_version"], job["rpm_release"]) == ("1", "1") and job["endtime"] >= job["starttime"] > 0, job
(arch,) = job["archjobs"]
assert arch["status"] == "done" and arch["builder_addr"] == "builder1" and arch["parent_uid"] == 1, arch

code, msg, second = s.enqueue_srpm(email, "slow", folder + "/slow-1-1.src.rpm", "lab-12-extras")
assert (code, msg, second) == (0, "Package slow enqueued.", 2), (code, msg, second)
until("job 2 to build", lambda: [a for a in s.detail_job(2)[2]["archjobs"] if a["builder_status"] == "building"])
code, msg, jobs = s.list_jobs({"status": ["building"]})
assert code == 0 and [j["uid"] for j in jobs] == [2], jobs
assert [j["uid"] for j in s.list_jobs({"username": email})[2]] == [2, 1]
assert [j["uid"] for j in s.list_jobs({"username": email, "orderby": ["uid"]})[2]] == [1, 2]
assert [j["uid"] for j in s.list_jobs({"maxrows": 1})[2]] == [2]
assert [j["uid"] for j in s.list_jobs({"package": "quick"})[2]] == [1]
assert s.list_jobs({"username": "else@example.com"})[2] == []
code, msg = s.kill_job(email, 2)
assert code == 0 and "killed" in msg, (code, msg)
assert state(2) == "killed" and email in s.detail_job(2)[2]["reason"], s.detail_job(2)
code, msg = s.kill_job(2)
assert code == -1 and "killed" in msg, (code, msg)
code, msg = s.kill_job(email, 1)
assert code == -1 and "plague repo retire" in msg, (code, msg)
assert s.requeue(1)[0] == -1 and "needsign" in s.requeue(email, 1)[1], s.requeue(1)
code, msg = s.finish([2, 99])
assert code == -1 and "99" in msg, (code, msg)
code, msg = s.finish([1, 2])
assert code == 0 and "Job 1 " in msg and "Job 2:" in msg and state(1) == "released", (code, msg)
code, msg = s.requeue(email, 2)
assert code == 0 and "requeued" in msg, (code, msg)
assert s.kill_job(2)[0] == 0
until("the slot to be free", lambda: s.list_builders()[0]["free_slots"] == 1)
print("all well")
`

func TestPythonDrivesAFarm(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed")
	}
	folder := t.TempDir()
	if err := os.Chmod(filepath.Dir(folder), 0o711); err != nil {
		t.Fatal(err)
	}
	f := newProcessFarm(t, shape{builders: 1, slots: 1, server: "srpm_dir = " + folder + "\n"})
	for name, shell := range map[string]string{"quick": ":", "slow": gate} {
		mustRun(t, "cp", tinySRPM(t, name, shell), folder)
	}
	f.start()
	out, err := exec.CommandContext(t.Context(), python, "-c", pythonDriver, f.Users, f.file("client", "buildsystem_ca_cert.pem"), f.file("client", "user_key_and_cert.pem"), folder, f.User).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "all well" {
		t.Errorf("%v\n%s", err, out)
	}
	if got := f.published(); strings.Join(got, " ") != "quick-1-1" {
		t.Errorf("the repository holds %v", got)
	}
	f.until(1, plague.JobReleased)
	f.nothingLeft()
}
