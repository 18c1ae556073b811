package xmlrpc

import (
	"bufio"
	"context"
	"math"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"
)

// python skips without python3, and only then: Python's own XML-RPC is the peer
// that everybody has.
func python(t *testing.T, script string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed")
	}
	return exec.CommandContext(t.Context(), path, append([]string{"-c", script}, args...)...)
}

const pythonClient = `
import datetime, sys, xmlrpc.client as x
s = x.ServerProxy(sys.argv[1], allow_none=True, use_builtin_types=True)
values = [None, True, False, 0, -1, 2**31-1, -2**31, 1.5, -1e+300, 5e-324, "", " a\nb\t", "<&>]]>\"'", "é€😀\u0085",
          b"", bytes(range(256)) * 10, datetime.datetime(2005, 11, 24, 10, 0, 5), [], {}, [[], [None, {}]],
          {"": 1, "a b": [1, {"c": None}], "<&>": "é"}, ["x"] * 1000]
for v in values:
    got = s.first(v)
    assert got == v and type(got) is type(v), (v, got)
assert s.echo(*values) == values
assert s.echo() == []
assert s.first("\r\n\r") == "\n\n"  # Python writes \r as it is, which XML reads as the end of a line
assert s.first(x.DateTime("20051124T10:00:05")) == datetime.datetime(2005, 11, 24, 10, 0, 5)
assert s.big(2**31-1) == 2**62, s.big(1)
assert s.add(1, 2) == 3

strict = x.ServerProxy(sys.argv[1])
assert strict.none() == ""
latin = x.ServerProxy(sys.argv[1], encoding="iso-8859-1")
assert latin.first("é\x80") == "é\x80"
slash = x.ServerProxy(sys.argv[1].replace("/RPC2", "/"))
assert slash.first("a") == "a"

for call, code in [(lambda: s.nobody(), -32601), (lambda: s.add(), -32602), (lambda: s.fault(), 42), (lambda: s.fail(), 1),
                   (lambda: s.first("x" * 60000000), -32700)]:
    try:
        call()
        assert False, code
    except x.Fault as f:
        assert f.faultCode == code, f
assert "echo" in s.system.listMethods()
assert s.system.methodHelp("echo") == "Gives its parameters back."
assert s.system.methodSignature("add") == [["int", "int"], ["int", "int", "int"]]
m = x.MultiCall(s)
m.add(1, 2); m.fault(); m.first("z")
r = m()
assert r[0] == 3 and r[2] == "z"
try:
    r[1]
    assert False
except x.Fault as f:
    assert f.faultCode == 42 and f.faultString == "no <way>", f
print("all well")
`

func TestPythonClient(t *testing.T) {
	big := Method{Name: "big", Func: func(context.Context, []any) (any, error) { return 1 << 62, nil }}
	c := serve(t, Options{MaxBody: 32 << 20}, big)
	out, err := python(t, pythonClient, c.URL).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "all well" {
		t.Errorf("%v\n%s", err, out)
	}
}

const pythonServer = `
import datetime, sys, xmlrpc.client as x
from xmlrpc.server import SimpleXMLRPCServer, SimpleXMLRPCRequestHandler
class Handler(SimpleXMLRPCRequestHandler):
    rpc_paths = ("/RPC2",)
s = SimpleXMLRPCServer(("127.0.0.1", 0), Handler, logRequests=False, allow_none=True, use_builtin_types=True)
s.register_introspection_functions()
s.register_multicall_functions()
s.register_function(lambda *a: list(a), "echo")
s.register_function(lambda a: type(a).__name__, "typename")
s.register_function(lambda a: [ord(c) for c in a], "codes")
def fault():
    raise x.Fault(42, "no <way>")
s.register_function(fault)
print("http://127.0.0.1:%d/" % s.server_address[1], flush=True)
s.serve_forever()
`

func TestPythonServer(t *testing.T) {
	cmd := python(t, pythonServer)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	c := &Client{URL: strings.TrimSpace(address) + "RPC2"}

	values := []any{
		nil, true, false, 0, -1, math.MaxInt32, math.MinInt32, 1.5, -1e300, 5e-324, "", " a\nb\t", "<&>]]>\"'", "é€😀\u0085",
		[]byte{}, []byte{0, 1, 254, 255}, time.Date(2005, 11, 24, 10, 0, 5, 0, time.UTC), []any{}, map[string]any{},
		[]any{[]any{}, []any{nil, map[string]any{}}}, map[string]any{"": 1, "a b": []any{1}, "<&>": "é"},
	}
	if got, err := c.Call(t.Context(), "echo", values...); err != nil || !reflect.DeepEqual(got, values) {
		t.Errorf("got %#v, %v\nwant %#v", got, err, values)
	}
	for want, v := range map[string]any{"int": 1 << 40, "str": "a", "float": 1.0, "bytes": []byte("a"), "datetime": time.Unix(0, 0), "NoneType": nil, "bool": true} {
		if got, err := c.Call(t.Context(), "typename", v); err != nil || got != want {
			t.Errorf("%v arrives as %v, %v, want %s", v, got, err, want)
		}
	}
	if got, err := c.Call(t.Context(), "codes", "\r\n\r\x01"); err != nil || !reflect.DeepEqual(got, []any{13, 10, 13, 0xFFFD}) {
		t.Errorf("control characters: got %v, %v", got, err)
	}
	if v, err := c.Call(t.Context(), "fault"); !reflect.DeepEqual(err, &Fault{42, "no <way>"}) {
		t.Errorf("got %v, %v, want the fault", v, err)
	}
	c.URL = strings.TrimSpace(address) + "elsewhere"
	if v, err := c.Call(t.Context(), "echo"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("wrong path: got %v, %v, want the status", v, err)
	}
}
