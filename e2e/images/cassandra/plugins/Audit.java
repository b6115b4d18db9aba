package com.example;

import java.util.Collection;
import java.util.List;
import org.apache.cassandra.db.Mutation;
import org.apache.cassandra.db.partitions.Partition;
import org.apache.cassandra.triggers.ITrigger;

/** A trigger of a user's that adds nothing. */
public class Audit implements ITrigger {
    @Override
    public Collection<Mutation> augment(Partition update) {
        return List.of();
    }
}
