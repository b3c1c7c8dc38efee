using Google.Protobuf;
using Google.Protobuf.Reflection;

namespace Grpc.Reflection;

/// <summary>Files and what they declare, for reflection.</summary>
internal sealed class SymbolTable
{
    private readonly Dictionary<string, FileDescriptor> _byName = [];
    private readonly Dictionary<string, FileDescriptor> _bySymbol = [];

    internal SymbolTable(IEnumerable<ServiceDescriptor> services)
    {
        foreach (ServiceDescriptor service in services)
        {
            AddFile(service.File);
        }
    }

    internal FileDescriptor? File(string name) => _byName.GetValueOrDefault(name);

    internal FileDescriptor? Containing(string symbol) => _bySymbol.GetValueOrDefault(symbol);

    /// <summary>The file and everything that it imports, each once, serialized.</summary>
    internal static IEnumerable<ByteString> WithImports(FileDescriptor file)
    {
        var seen = new HashSet<string>();
        var waiting = new Queue<FileDescriptor>([file]);
        while (waiting.TryDequeue(out FileDescriptor? next))
        {
            if (seen.Add(next.Name))
            {
                yield return next.SerializedData;
                foreach (FileDescriptor import in next.Dependencies)
                {
                    waiting.Enqueue(import);
                }
            }
        }
    }

    private void AddFile(FileDescriptor file)
    {
        if (!_byName.TryAdd(file.Name, file))
        {
            return;
        }

        foreach (FileDescriptor import in file.Dependencies)
        {
            AddFile(import);
        }

        foreach (EnumDescriptor type in file.EnumTypes)
        {
            Add(type);
        }

        foreach (MessageDescriptor type in file.MessageTypes)
        {
            Add(type);
        }

        foreach (ServiceDescriptor service in file.Services)
        {
            Add(service);
            foreach (MethodDescriptor method in service.Methods)
            {
                Add(method);
            }
        }
    }

    private void Add(MessageDescriptor type)
    {
        Add((IDescriptor)type);
        foreach (FieldDescriptor field in type.Fields.InDeclarationOrder())
        {
            Add(field);
        }

        foreach (MessageDescriptor nested in type.NestedTypes)
        {
            Add(nested);
        }

        foreach (EnumDescriptor nested in type.EnumTypes)
        {
            Add((IDescriptor)nested);
        }
    }

    private void Add(IDescriptor descriptor) => _bySymbol[descriptor.FullName] = descriptor.File;
}
