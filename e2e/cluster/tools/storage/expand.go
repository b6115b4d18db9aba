package main

import (
	"context"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

const patience = 10 * time.Second

// expander grants every wish for a larger volume: first in the volume, then in
// the claim's status, which is the order in which a real one works.
type expander struct {
	client  kubernetes.Interface
	volumes listers.PersistentVolumeLister
}

// watch has every change of a claim looked at; what fails is tried again at
// the informer's next resync.
func (e *expander) watch(ctx context.Context, claims cache.SharedIndexInformer) error {
	_, err := claims.AddEventHandler(cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(_, now any) {
			claim := now.(*core.PersistentVolumeClaim)
			if err := e.expand(ctx, claim); err != nil {
				klog.ErrorS(err, "cannot expand", "claim", klog.KObj(claim))
			}
		},
	})
	return err
}

func (e *expander) expand(ctx context.Context, claim *core.PersistentVolumeClaim) error {
	wanted := claim.Spec.Resources.Requests[core.ResourceStorage]
	has, bound := claim.Status.Capacity[core.ResourceStorage]
	if !bound || wanted.Cmp(has) <= 0 {
		return nil
	}
	volume, err := e.volumes.Get(claim.Spec.VolumeName)
	if err != nil {
		return err
	}
	if volume.Annotations["pv.kubernetes.io/provisioned-by"] != provisionerName {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()

	volume = volume.DeepCopy()
	volume.Spec.Capacity[core.ResourceStorage] = wanted
	if _, err := e.client.CoreV1().PersistentVolumes().Update(ctx, volume, meta.UpdateOptions{}); err != nil {
		return err
	}
	claim = claim.DeepCopy()
	claim.Status.Capacity[core.ResourceStorage] = wanted
	claim.Status.Conditions = nil
	_, err = e.client.CoreV1().PersistentVolumeClaims(claim.Namespace).UpdateStatus(ctx, claim, meta.UpdateOptions{})
	return err
}
