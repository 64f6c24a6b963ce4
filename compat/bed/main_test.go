//go:build kube

package bed_test

import (
	"testing"

	"github.com/meshhealth/meshhealth/compat/bed"
)

func TestMain(m *testing.M) { bed.Main(m) }
