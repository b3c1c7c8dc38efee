using Google.Protobuf;
using Google.Protobuf.Reflection;
using Google.Protobuf.WellKnownTypes;
using NetKernel.Api;
using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane.Rpc;

/// <summary>Field masks: which fields an update is about.</summary>
internal static class Masks
{
    private static readonly FieldMask.MergeOptions Replace = new() { ReplaceMessageFields = true, ReplacePrimitiveFields = true, ReplaceRepeatedFields = true };

    /// <summary>
    /// The message before with the masked fields of what is wanted. Without a mask: those changeable fields that are set. <paramref name="prefix"/> is the name of the
    /// message in the request, for errors.
    /// </summary>
    public static T Merge<T>(string prefix, T before, T wanted, FieldMask? mask, params IReadOnlyCollection<string> changeable)
        where T : class, IMessage<T>
    {
        T merged = before.Clone();
        FieldMask applied = new();
        if (mask is null || mask.Paths.Count == 0)
        {
            foreach (FieldDescriptor field in before.Descriptor.Fields.InDeclarationOrder())
            {
                if (changeable.Contains(field.Name) && field.Accessor.GetValue(wanted) is { } value && !ProtoJson.IsEmpty(field, value))
                {
                    applied.Paths.Add(field.Name);
                }
            }
        }
        else
        {
            foreach (string path in mask.Paths)
            {
                string head = path.Split('.')[0];
                if (before.Descriptor.FindFieldByName(head) is null || !FieldMask.IsValid(before.Descriptor, path))
                {
                    throw ServiceException.Invalid("update_mask", $"there is no field {path}: the changeable ones are {string.Join(", ", changeable)}");
                }

                if (!changeable.Contains(head))
                {
                    throw ServiceException.Invalid("update_mask", $"{prefix}.{head} cannot be changed: the changeable ones are {string.Join(", ", changeable)}");
                }

                applied.Paths.Add(path);
            }
        }

        // Maps are not known to FieldMask.Merge; an unset message is to clear one.
        foreach (string path in applied.Paths.Where(path => !path.Contains('.')))
        {
            FieldDescriptor field = before.Descriptor.FindFieldByName(path);
            if (field.IsMap)
            {
                ReplaceMap(field, wanted, merged);
            }
            else if (field.FieldType == FieldType.Message && !field.IsRepeated)
            {
                object? value = field.Accessor.GetValue(wanted);
                if (value is null)
                {
                    field.Accessor.Clear(merged);
                }
                else
                {
                    field.Accessor.SetValue(merged, value);
                }
            }
            else
            {
                new FieldMask { Paths = { path } }.Merge(wanted, merged, Replace);
            }
        }

        foreach (string path in applied.Paths.Where(path => path.Contains('.')))
        {
            if (!TryReplaceMapBelow(path.Split('.'), wanted, merged))
            {
                new FieldMask { Paths = { path } }.Merge(wanted, merged, Replace);
            }
        }

        return merged;
    }

    // A map within messages, as match.labels; messages on the way are made where there are none.
    private static bool TryReplaceMapBelow(string[] parts, IMessage wanted, IMessage merged)
    {
        IMessage? from = wanted;
        IMessage to = merged;
        foreach (string part in parts[..^1])
        {
            FieldDescriptor within = to.Descriptor.FindFieldByName(part);
            from = from is null ? null : (IMessage?)within.Accessor.GetValue(from);
            if (within.Accessor.GetValue(to) is not IMessage next)
            {
                next = within.MessageType.Parser.ParseFrom(ByteString.Empty);
                within.Accessor.SetValue(to, next);
            }

            to = next;
        }

        FieldDescriptor field = to.Descriptor.FindFieldByName(parts[^1]);
        if (field.IsMap)
        {
            ReplaceMap(field, from, to);
        }

        return field.IsMap;
    }

    private static void ReplaceMap(FieldDescriptor field, IMessage? from, IMessage to)
    {
        var target = (System.Collections.IDictionary)field.Accessor.GetValue(to);
        target.Clear();
        foreach (System.Collections.DictionaryEntry entry in from is null ? new Dictionary<string, string>() : (System.Collections.IDictionary)field.Accessor.GetValue(from))
        {
            target.Add(entry.Key, entry.Value);
        }
    }

    /// <summary>Whether an update is about a field: the mask names it, or there is none and the field is set.</summary>
    public static bool Names(string field, FieldMask? mask, bool isSet) => mask is { Paths.Count: > 0 } ? mask.Paths.Contains(field) : isSet;

    /// <summary>Fails when the client has seen another version than the one there is.</summary>
    public static void CheckVersion(string about, long wanted, long current)
    {
        if (wanted != 0 && wanted != current)
        {
            throw new ServiceException(
                FailureCode.Aborted, $"{about} has been changed since (version {current}, not {wanted}): read it again and repeat the change", "resource_version", about);
        }
    }
}
