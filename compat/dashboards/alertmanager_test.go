package dashboards

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
)

// inhibition is one situation: the alerts that fire together, and those of them that notify.
type inhibition struct {
	name   string
	fire   []map[string]string
	notify []string // the indexes of fire, as text
}

// alert returns the labels of an alert, as alerts.yaml makes them. root is empty for alerts that
// have no root.
func alert(name, severity, service, root string) map[string]string {
	all := map[string]string{"alertname": name, "severity": severity}
	if service != "" {
		all["service"] = service
	}
	if root != "" {
		all["root"], all["role"] = root, "affected"
		if root == service {
			all["role"] = "root"
		}
	}
	return all
}

func inhibitions() []inhibition {
	down, degraded := "ServiceNotServing", "ServiceDegraded"
	return []inhibition{
		{"the root notifies for those that it affects", []map[string]string{
			alert(down, "critical", "db", "db"), alert(down, "critical", "pay", "db"), alert(degraded, "warning", "cart", "db"),
		}, []string{"0"}},
		{"another root notifies too", []map[string]string{
			alert(down, "critical", "db", "db"), alert(down, "critical", "mail", "mail"), alert(degraded, "warning", "cart", "mail"),
		}, []string{"0", "1"}},
		{"a root that is DEGRADED silences no service that is NOT_SERVING", []map[string]string{
			alert(degraded, "warning", "db", "db"), alert(down, "critical", "pay", "db"), alert(degraded, "warning", "cart", "db"),
		}, []string{"0", "1"}},
		{"without an alert of the root, the affected services notify", []map[string]string{
			alert(down, "critical", "pay", "db"), alert(degraded, "warning", "cart", "db"),
		}, []string{"0", "1"}},
		{"a service that is NOT_SERVING notifies once", []map[string]string{
			alert(down, "critical", "pay", "pay"), alert(degraded, "warning", "pay", "pay"),
			alert("ErrorBudgetBurn", "critical", "pay", ""), alert("ErrorBudgetBurn", "warning", "mail", ""),
		}, []string{"0", "3"}},
		{"a fast burn silences the slow one", []map[string]string{
			alert("ErrorBudgetBurn", "critical", "pay", ""), alert("ErrorBudgetBurn", "warning", "pay", ""), alert("ErrorBudgetBurn", "warning", "mail", ""),
		}, []string{"0", "2"}},
		{"a guard explains the coordinator and the unconfirmed instances", []map[string]string{
			alert("GuardTripped", "critical", "", ""), alert("MeshUnconfirmedHigh", "warning", "", ""), alert("CoordinatorDegraded", "warning", "", ""),
			alert("CoverageLow", "warning", "", ""),
		}, []string{"0", "3"}},
		{"a failing store explains the coordinator", []map[string]string{
			alert("StoreFailing", "warning", "", ""), alert("CoordinatorDegraded", "warning", "", ""), alert("MeshUnconfirmedHigh", "warning", "", ""),
		}, []string{"0", "2"}},
	}
}

// TestInhibition lets a real Alertmanager decide, with the rules of deploy, which alerts notify.
func TestInhibition(t *testing.T) {
	t.Parallel()
	at := startAlertmanager(t)
	var all []map[string]any
	want := map[string]bool{} // whether an alert notifies, by its job and its number
	for _, c := range inhibitions() {
		for i, labels := range c.fire {
			if !slices.Contains(severities[labels["alertname"]], labels["severity"]) {
				t.Errorf("%s: alerts.yaml has no %s with severity %s", c.name, labels["alertname"], labels["severity"])
			}
			labels = maps.Clone(labels)
			// Each situation is a mesh of its own, so the situations cannot affect each other.
			labels["job"], labels["number"] = c.name, fmt.Sprint(i)
			all = append(all, map[string]any{"labels": labels})
			want[c.name+", alert "+labels["number"]] = slices.Contains(c.notify, labels["number"])
		}
	}
	body, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		resp, err := http.Post("http://"+at+"/api/v2/alerts", "application/json", bytes.NewReader(body))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("the answer is %s", resp.Status)
		}
		return nil
	})
	eventually(t, func() error {
		got, err := notifying(at)
		if err == nil && !maps.Equal(got, want) {
			err = fmt.Errorf("the alerts that notify are\n%v\nwant\n%v", got, want)
		}
		return err
	})
}

func startAlertmanager(t *testing.T) string {
	t.Helper()
	path := program(t, "prometheus-alertmanager", "alertmanager")
	dir, at := t.TempDir(), freeAddress(t)
	config := write(t, filepath.Join(dir, "alertmanager.yaml"),
		"route:\n  receiver: none\nreceivers:\n  - name: none\n"+string(read(t, root+"/deploy/alertmanager/inhibit.yaml")))
	start(t, path, "--config.file="+config, "--storage.path="+filepath.Join(dir, "data"), "--web.listen-address="+at, "--cluster.listen-address=")
	return at
}

// notifying asks an Alertmanager which alerts are not silenced.
func notifying(at string) (map[string]bool, error) {
	resp, err := http.Get("http://" + at + "/api/v2/alerts")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var all []struct {
		Labels map[string]string
		Status struct{ State string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&all); err != nil {
		return nil, fmt.Errorf("%s: %w", resp.Status, err)
	}
	got := map[string]bool{}
	for _, a := range all {
		got[a.Labels["job"]+", alert "+a.Labels["number"]] = a.Status.State == "active"
	}
	return got, nil
}
