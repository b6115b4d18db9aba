// A storage provisioner for the test cluster: a volume is a directory in the
// node's /var/volumes, made when the scheduler has chosen the node.
//
// It runs outside the nodes and sees their disks as <root>/<node>/var. Claims
// can be expanded; the size is bookkeeping only, as a directory has no limit.
package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"syscall"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

const (
	provisionerName = "directory"
	nodeDirectory   = "/var/volumes"
	resync          = 10 * time.Minute
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "file that says how to reach the API server")
	root := flag.String("root", "", "directory that holds <node>/var of every node")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		klog.Fatal(err)
	}
	client := kubernetes.NewForConfigOrDie(config)

	factory := informers.NewSharedInformerFactory(client, resync)
	claims := factory.Core().V1().PersistentVolumeClaims().Informer()
	volumes := factory.Core().V1().PersistentVolumes()
	expander := &expander{client: client, volumes: volumes.Lister()}
	if err := expander.watch(ctx, claims); err != nil {
		klog.Fatal(err)
	}
	directories := controller.NewProvisionController(ctx, client, provisionerName,
		directories{root: *root},
		controller.LeaderElection(false),
		controller.ClaimsInformer(claims),
		controller.VolumesInformer(volumes.Informer()))
	factory.Start(ctx.Done())
	directories.Run(ctx)
}

// directories makes and removes the volumes.
type directories struct{ root string }

// onHost tells where the volume of a node is seen from outside the node.
func (d directories) onHost(node, volume string) string {
	return filepath.Join(d.root, node, nodeDirectory, volume)
}

func (d directories) Provision(
	_ context.Context, options controller.ProvisionOptions,
) (*core.PersistentVolume, controller.ProvisioningState, error) {
	node := options.SelectedNodeName
	if node == "" {
		return nil, controller.ProvisioningFinished,
			errors.New("no node chosen: the storage class must wait for the first consumer")
	}
	directory := d.onHost(node, options.PVName)
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	// Containers run as any user; a chmod, as the umask would cut the mode.
	if err := os.Chmod(directory, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	return d.volume(options), controller.ProvisioningFinished, nil
}

func (d directories) volume(options controller.ProvisionOptions) *core.PersistentVolume {
	exists := core.HostPathDirectory
	return &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: options.PVName},
		Spec: core.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			AccessModes:                   options.PVC.Spec.AccessModes,
			Capacity: core.ResourceList{
				core.ResourceStorage: options.PVC.Spec.Resources.Requests[core.ResourceStorage],
			},
			PersistentVolumeSource: core.PersistentVolumeSource{
				HostPath: &core.HostPathVolumeSource{
					Path: path.Join(nodeDirectory, options.PVName),
					Type: &exists,
				},
			},
			NodeAffinity: &core.VolumeNodeAffinity{Required: &core.NodeSelector{
				NodeSelectorTerms: []core.NodeSelectorTerm{{
					MatchExpressions: []core.NodeSelectorRequirement{{
						Key:      core.LabelHostname,
						Operator: core.NodeSelectorOpIn,
						Values:   []string{options.SelectedNodeName},
					}},
				}},
			}},
		},
	}
}

func (d directories) Delete(_ context.Context, volume *core.PersistentVolume) error {
	node := volume.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Values[0]
	return os.RemoveAll(d.onHost(node, volume.Name))
}
