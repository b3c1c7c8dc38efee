using Google.Protobuf;
using Google.Protobuf.Reflection;
using Google.Protobuf.WellKnownTypes;
using NetKernel.Api;
using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane.Rpc;

/// <summary>Field masks: which fields an update is about.</summary>
internal static class Masks
{
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

        foreach (string path in applied.Paths)
        {
            SetBelow(path.Split('.'), wanted, merged);
        }

        return merged;
    }

    // The field at a path, as match.labels: what is wanted takes its place, also when that is nothing. Messages on the way are made where there are none. (FieldMask.Merge knows no maps,
    // and does not clear what lies below a message that is not set.)
    private static void SetBelow(string[] parts, IMessage wanted, IMessage merged)
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

        Set(to.Descriptor.FindFieldByName(parts[^1]), from, to);
    }

    private static void Set(FieldDescriptor field, IMessage? from, IMessage to)
    {
        object? value = from is null ? null : field.Accessor.GetValue(from);
        field.Accessor.Clear(to);
        if (value is null)
        {
            return;
        }

        if (field.IsMap)
        {
            var target = (System.Collections.IDictionary)field.Accessor.GetValue(to);
            foreach (System.Collections.DictionaryEntry entry in (System.Collections.IDictionary)value)
            {
                target.Add(entry.Key, entry.Value);
            }
        }
        else if (field.IsRepeated)
        {
            var target = (System.Collections.IList)field.Accessor.GetValue(to);
            foreach (object one in (System.Collections.IList)value)
            {
                _ = target.Add(one);
            }
        }
        else
        {
            field.Accessor.SetValue(to, value);
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
