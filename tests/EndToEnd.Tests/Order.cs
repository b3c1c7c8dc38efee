using Xunit.Abstractions;

// Real programs mostly wait for each other: two collections at a time. Each has instances of its own, whose names, run directories and namespaces nobody shares.
[assembly: CollectionBehavior(MaxParallelThreads = 2)]
[assembly: TestCollectionOrderer("NetKernel.EndToEnd.Tests.LongestFirst", "NetKernel.EndToEnd.Tests")]

namespace NetKernel.EndToEnd.Tests;

/// <summary>Begins with the collections that take longest, so that none of them is left alone at the end.</summary>
public sealed class LongestFirst : ITestCollectionOrderer
{
    private static readonly string[] Long = [SharedInstance.Name, PrivateCollection.Name];

    public IEnumerable<ITestCollection> OrderTestCollections(IEnumerable<ITestCollection> testCollections) => testCollections.OrderBy(collection => Rank(collection.DisplayName));

    private static int Rank(string name) => Array.IndexOf(Long, name) is >= 0 and int at ? at : Long.Length;
}
